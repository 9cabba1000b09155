"""Bytes on disk to batches."""
