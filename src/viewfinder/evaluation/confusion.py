"""Which classes are taken for which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from viewfinder.drawing.palette import INK
from viewfinder.drawing.text import shorten

_MOST_WITH_COUNTS = 24
_MOST_WITH_NAMES = 60
_LONGEST_NAME = 18


def draw_confusion(
    path: Path, matrix: NDArray[np.int64], classes: Sequence[str], *, unit: str
) -> None:
    """Draw a confusion matrix, coloured by share of its row, with counts if they have room.

    Args:
        path: The PNG file to write.
        matrix: How often a class (row) was taken for a class (column), int64 [C, C].
        classes: Class names.
        unit: What is counted, in the plural.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.58 * len(classes) + 1.6, 4.5, 14))
    figure = Figure(figsize=(side + 1.2, side), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    colours = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(colours, ax=axes, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("share of the actual class")
    bar.outline.set_visible(False)
    axes.set_title(f"{int(matrix.sum()):,} {unit}", color=INK, fontsize=11)
    axes.set(xlabel="predicted", ylabel="actual")
    _name_classes(axes, classes)
    if len(classes) <= _MOST_WITH_COUNTS:
        _write_counts(axes, matrix, shares)
    figure.savefig(path, format="png")


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    if len(classes) > _MOST_WITH_NAMES:
        return
    names = [shorten(name, _LONGEST_NAME) for name in classes]
    points = 9 if len(classes) <= _MOST_WITH_COUNTS else 6
    upright = max(len(name) for name in names) <= 5 and len(classes) <= _MOST_WITH_COUNTS
    axes.set_xticks(range(len(names)), names, fontsize=points, rotation=0 if upright else 90)
    axes.set_yticks(range(len(names)), names, fontsize=points)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_counts(axes: Axes, matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(matrix):
        axes.text(
            column,
            row,
            _short_count(int(matrix[row, column])),
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if shares[row, column] > 0.5 else INK,
        )


def _short_count(count: int) -> str:
    if count < 10_000:
        return str(count)
    if count < 1_000_000:
        return f"{count / 1_000:.0f}k"
    return f"{count / 1_000_000:.1f}M"
