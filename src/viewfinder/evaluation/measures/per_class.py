"""Figures of each class; one that would be a share of nothing stays blank."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.tables import write_table

Row = list[str | int | float | None]

PRECISION_RECALL = ("precision", "recall", "f1")
_DECIMALS = 5


@dataclass(frozen=True)
class ClassTable:
    """Figures of each class.

    Attributes:
        columns: Names of the figures.
        rows: Of each class its name, its count and its figures; None for one that is not defined.
    """

    columns: list[str]
    rows: list[Row]

    def write(self, tables: Path) -> None:
        """Write ``per_class.csv`` into a folder; what is not defined stays blank."""
        write_table(tables / "per_class.csv", ["class", "count", *self.columns], self.rows)


def precision_recall_rows(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[Row]:
    """Return class, count, precision, recall and F1 of each class.

    Args:
        matrix: How often a class (row) was taken for a class (column), int64 [C, C].
        classes: Class names.
    """
    actual, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    figures = precision_recall_f1(matrix.diagonal(), actual, predicted)
    columns = zip(classes, actual, figures.T, strict=True)
    return [[name, int(count), *rounded_or_blank(of_class)] for name, count, of_class in columns]


def precision_recall_f1(
    hits: NDArray[Any], actual: NDArray[Any], predicted: NDArray[Any]
) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each class, float64 [3, C].

    The precision of a class that was never predicted is not a number, nor is the recall of one that
    never occurs, nor is F1 if both is so.

    Args:
        hits: How often each class was predicted rightly, [C].
        actual: How often it occurs, [C].
        predicted: How often it was predicted, [C].
    """
    sizes = np.stack([predicted, actual, (actual + predicted) / 2])
    return shares(np.broadcast_to(hits, sizes.shape), sizes)


def shares(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """Return parts of their wholes; of nothing they are not a number."""
    nothing = np.full(wholes.shape, np.nan)
    return np.asarray(np.divide(parts, wholes, out=nothing, where=wholes > 0))


def rounded_or_blank(figures: NDArray[np.float64]) -> list[float | None]:
    """Round figures for a table; those that are not defined become None."""
    return [None if np.isnan(figure) else round(float(figure), _DECIMALS) for figure in figures]
