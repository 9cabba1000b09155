"""Readers: one module a layout, each turning an archive into records."""
