"""What watches an evaluation and reports on it afterwards."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from viewfinder.data.loading.dataset import Batch
from viewfinder.tasks.base import Predictions


class Observer(Protocol):
    """Gathers something from all predictions, then writes files about it."""

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in the predictions for one batch, tensors on the CPU."""

    def write(self, plots: Path, tables: Path) -> None:
        """Write pictures to one folder and tables to another."""


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int | float]]
) -> None:
    """Write a CSV file with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
