"""Predictions of several models for the same images, against each other."""
