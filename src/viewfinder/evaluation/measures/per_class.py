"""Figures of each class; a class that neither truth nor prediction shows has none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from viewfinder.evaluation.tables import write_table

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
    actual, predicted, counts, labels = _weighted_pairs(matrix)
    precision, recall, f1, _ = precision_recall_fscore_support(
        actual, predicted, labels=labels, sample_weight=counts, zero_division=0
    )
    columns = zip(classes, matrix.sum(axis=1), precision, recall, f1, strict=True)
    rows: list[Row] = [[name, int(count), *rounded(figures)] for name, count, *figures in columns]
    for label in np.flatnonzero(_absent(matrix)):
        rows[label][2:] = [None] * len(PRECISION_RECALL)
    return rows


def iou_column(matrix: NDArray[np.int64]) -> list[float | None]:
    """Return the intersection over union of each class of a confusion matrix, int64 [C, C]."""
    actual, predicted, counts, labels = _weighted_pairs(matrix)
    figures = rounded(
        jaccard_score(
            actual,
            predicted,
            labels=labels,
            average=None,
            sample_weight=counts,
            zero_division=0,
        )
    )
    return [None if none else iou for none, iou in zip(_absent(matrix), figures, strict=True)]


def rounded_or_blank(figures: NDArray[np.float64]) -> list[float | None]:
    """Round figures for a table; those that are not defined become None."""
    return [None if np.isnan(figure) else figure for figure in rounded(figures)]


def rounded(figures: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Round figures for a table."""
    return [round(float(figure), _DECIMALS) for figure in figures]


def _absent(matrix: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which classes of a confusion matrix neither truth nor prediction shows, bool [C]."""
    return np.asarray(matrix.sum(axis=0) + matrix.sum(axis=1) == 0)


def _weighted_pairs(
    matrix: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Turn a confusion matrix to pairs of actual and predicted class, each with its count."""
    labels = np.arange(len(matrix))
    actual, predicted = (grid.ravel() for grid in np.meshgrid(labels, labels, indexing="ij"))
    return actual, predicted, matrix.ravel(), labels
