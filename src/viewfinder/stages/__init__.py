"""One short script a DVC stage, read from top to bottom."""
