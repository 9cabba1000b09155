"""Learning curves."""

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from viewfinder.drawing.palette import FAINT, INK
from viewfinder.errors import ViewfinderError

Curve = tuple[list[float], list[float]]

# Okabe and Ito, "Color universal design" (2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LOSSES = {"train/loss": "training", "val/loss": "validation"}
_LOG_FROM_RATIO = 30


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of a training's ``curves.csv``; a cell that is empty is left out.

    Raises:
        ViewfinderError: If there is no such file.
    """
    if not path.is_file():
        raise ViewfinderError(f"{path} does not exist. Run `dvc repro train@{path.parent.name}`.")
    with path.open(newline="") as file:
        return [
            {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def draw_curves(
    rows: Sequence[Mapping[str, float]],
    path: Path,
    *,
    monitor: str,
    mode: Literal["min", "max"] = "max",
    metrics: Sequence[str] = (),
) -> None:
    """Draw losses and validation metrics against the epoch, and mark the best epoch.

    Args:
        rows: One mapping an epoch, with ``epoch``, ``train/loss``, ``val/loss`` and any
            ``val/<metric>``; what an epoch lacks is left out of its curve. Where ``phase``
            changes, a line says so.
        path: The PNG file to write.
        monitor: The metric that picks the best epoch.
        mode: Whether the best epoch has the largest or smallest of it.
        metrics: Names of further metrics, without ``val/``, the most telling first; of those that
            were measured in training the first few are drawn.

    Raises:
        ViewfinderError: If there is no row, or none with the monitored metric.
    """
    if not rows:
        raise ViewfinderError(
            "The training history has no epoch, so there are no curves to draw. Train for at "
            "least one epoch (trainer.max_epochs >= 1)."
        )
    best = _best_epoch(rows, monitor, mode)
    losses = {name: _curve(rows, key) for key, name in _LOSSES.items()}
    others = _metric_curves(rows, monitor, metrics)
    figure = Figure(figsize=(11 if others else 6, 4), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    _draw_panel(panels[0], losses, best)
    panels[0].set_ylabel("loss")
    if _spans_magnitudes(losses):
        panels[0].set_yscale("log")
    if others:
        _draw_panel(panels[1], others, best)
        panels[1].set_ylabel("validation metric")
    for axes in panels:
        _mark_phases(axes, rows)
    figure.savefig(path, format="png")


def _mark_phases(axes: Axes, rows: Sequence[Mapping[str, float]]) -> None:
    """Draw a line between two epochs of different phases."""
    for before, after in pairwise(rows):
        if before.get("phase") != after.get("phase"):
            where = (before["epoch"] + after["epoch"]) / 2
            axes.axvline(where, color=FAINT, linewidth=1)
            axes.annotate(
                f"phase {after['phase']:.0f}",
                (where, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -9),
                textcoords="offset points",
                fontsize=8,
                color=FAINT,
            )


def _curve(rows: Sequence[Mapping[str, float]], name: str) -> Curve:
    points = [
        (float(row.get("epoch", index)), float(row[name]))
        for index, row in enumerate(rows)
        if row.get(name) is not None and math.isfinite(row[name])
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _best_epoch(
    rows: Sequence[Mapping[str, float]], monitor: str, mode: Literal["min", "max"]
) -> float:
    epochs, values = _curve(rows, monitor)
    if not values:
        known = ", ".join(sorted({name for row in rows for name in row}))
        raise ViewfinderError(
            f"The training history has no value of {monitor!r}, which picks the best epoch. "
            f"It has: {known}."
        )
    return epochs[values.index(max(values) if mode == "max" else min(values))]


def _metric_curves(
    rows: Sequence[Mapping[str, float]], monitor: str, metrics: Sequence[str]
) -> dict[str, Curve]:
    """Return the monitored metric and the first few others."""
    names = dict.fromkeys([monitor, *(f"val/{name}" for name in metrics)])
    curves = {name: _curve(rows, name) for name in names if name not in _LOSSES}
    drawn = [(name.removeprefix("val/"), curve) for name, curve in curves.items() if curve[1]]
    return dict(drawn[: len(_COLOURS)])


def _spans_magnitudes(curves: Mapping[str, Curve]) -> bool:
    everything = [value for _, values in curves.values() for value in values]
    return bool(everything) and 0 < _LOG_FROM_RATIO * min(everything) < max(everything)


def _draw_panel(axes: Axes, curves: Mapping[str, Curve], best: float) -> None:
    present = {name: curve for name, curve in curves.items() if curve[1]}
    for (name, (epochs, values)), colour in zip(present.items(), _COLOURS, strict=False):
        marker = "o" if len(epochs) <= 30 else ""
        label = name if best not in epochs else f"{name} ({values[epochs.index(best)]:.4g})"
        axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=label)
    axes.axvline(best, color=INK, linewidth=1, linestyle=":", label=f"best epoch: {best:.0f}")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=FAINT, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
