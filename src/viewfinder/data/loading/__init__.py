"""Split files to batches of tensors."""
