"""``python -m viewfinder`` is ``viewfinder``."""

from viewfinder.cli import run

run()
