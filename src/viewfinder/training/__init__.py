"""Training: the trainer, its callbacks, and exact resume."""
