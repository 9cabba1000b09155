"""Precision against recall, and true against false positives, of each class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from viewfinder.drawing.palette import FAINT, INK, class_colour
from viewfinder.drawing.text import shorten

_MOST = 12
_LONGEST_NAME = 22

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
Scored = tuple[NDArray[np.bool_], NDArray[np.floating]]  # of each image, [N] and [N]


@dataclass(frozen=True)
class Curve:
    """The curve of one class.

    Attributes:
        name: Name of the class.
        trace: Returns recall, or the share of false positives, and precision, or the share of true
            positives, in [0, 1]. Of many images and classes not all lines fit into memory.
        area: The area below it.
        point: The place on or below it that the class's threshold leads to, across and up.
    """

    name: str
    trace: Callable[[], Line]
    area: float
    point: tuple[float, float] | None = None


def precision_recall_curves(
    scored: Callable[[int], Scored], classes: Mapping[int, str]
) -> list[Curve]:
    """Return precision against recall of each class that occurs.

    Args:
        scored: Returns of a class which images show it, and its scores.
        classes: Class names, by class.
    """
    return [
        Curve(
            name, _line(_recall_and_precision, scored, label), float(average_precision_score(*pair))
        )
        for label, name in classes.items()
        if (pair := scored(label))[0].any()
    ]


def roc_curves(scored: Callable[[int], Scored], classes: Mapping[int, str]) -> list[Curve]:
    """Return true against false positives of each class that some images show and some do not.

    Args:
        scored: Returns of a class which images show it, and its scores.
        classes: Class names, by class.
    """
    return [
        Curve(name, _line(_false_and_true, scored, label), float(roc_auc_score(*pair)))
        for label, name in classes.items()
        if (pair := scored(label))[0].any() and not pair[0].all()
    ]


def _line(
    trace: Callable[..., Line], scored: Callable[[int], Scored], label: int
) -> Callable[[], Line]:
    return lambda: trace(*scored(label))


def draw_precision_recall(path: Path, curves: Sequence[Curve], *, heading: str) -> None:
    """Draw precision against recall; of many classes those with the smallest areas.

    Args:
        path: The PNG file to write.
        curves: What ``precision_recall_curves`` returned.
        heading: What it is the precision of.
    """
    figure, axes = _frame(curves, heading)
    for colour, curve in _shown(curves):
        label = f"{shorten(curve.name, _LONGEST_NAME)} (AP {curve.area:.3f})"
        axes.step(*curve.trace(), where="post", color=colour, label=label, linewidth=1.5)
        if curve.point is not None:
            axes.plot(*curve.point, "o", color=colour, markeredgecolor=INK, zorder=3)
    if any(curve.point is not None for curve in curves):
        axes.plot([], [], "o", color="white", markeredgecolor=INK, label="at its threshold")
    axes.set(xlabel="recall", ylabel="precision")
    _finish(figure, axes, path)


def draw_roc(path: Path, curves: Sequence[Curve], *, heading: str) -> None:
    """Draw true against false positives; of many classes those with the smallest areas.

    Args:
        path: The PNG file to write.
        curves: What ``roc_curves`` returned.
        heading: What they are the positives of.
    """
    figure, axes = _frame(curves, heading)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="by chance")
    for colour, curve in _shown(curves):
        label = f"{shorten(curve.name, _LONGEST_NAME)} (area {curve.area:.3f})"
        axes.plot(*curve.trace(), color=colour, label=label, linewidth=1.5)
    axes.set(xlabel="false positives, share of all negatives", ylabel="true positives (recall)")
    _finish(figure, axes, path)


def _recall_and_precision(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> Line:
    precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
    return recall, precision


def _false_and_true(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> Line:
    false, true, _ = roc_curve(truth, scores)
    return false, true


def _shown(curves: Sequence[Curve]) -> list[tuple[str, Curve]]:
    coloured = [(class_colour(number), curve) for number, curve in enumerate(curves)]
    if len(curves) <= _MOST:
        return coloured
    return sorted(coloured, key=lambda pair: pair[1].area)[:_MOST]


def _frame(curves: Sequence[Curve], heading: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.4, 4.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    more = f"; the {_MOST} worst of {len(curves)} classes" if len(curves) > _MOST else ""
    axes.set_title(f"{heading}{more}", color=INK, fontsize=11)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    if axes.get_legend_handles_labels()[0]:
        beside = (1, 0.5)
        legend = axes.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=beside)
        for text in legend.get_texts():
            text.set_parse_math(False)
    figure.savefig(path, format="png")
