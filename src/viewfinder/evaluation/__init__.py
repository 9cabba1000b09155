"""Predictions to metrics, tables and pictures."""
