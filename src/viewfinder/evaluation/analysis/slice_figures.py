"""Metrics of slices, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.slices import Slice, metric_names, slices_of
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.intervals import LEAST_GROUPS, interval, metric_figure, resampled_weights
from viewfinder.evaluation.measures.measure import Measure, Weights
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.progress import progress
from viewfinder.tables import write_table

RESAMPLES = 200
MOST_GROUPS = 8

_SEED = 0
_NO_IMAGE = "no test image"
_DECIMALS = 5


@dataclass(frozen=True)
class SliceFigure:
    """One metric of one slice.

    Attributes:
        kind: What the images were divided by, or ``all``.
        name: Which part it is.
        images: Number of images that belong to it.
        metric: Name of the metric.
        figure: Its value.
    """

    kind: str
    name: str
    images: int
    metric: str
    figure: Figure


def slice_figures(
    predictions: PredictionsFile,
    measure: Measure,
    metrics: Mapping[str, Figure],
    counts: NDArray[np.int64] | None,
    resamples: int = RESAMPLES,
) -> list[SliceFigure]:
    """Return the main metrics of all images and of each slice.

    Args:
        predictions: The predictions for a split.
        measure: Their measure.
        metrics: The metrics of all images.
        counts: Training images of each class, [C], if they are known.
        resamples: How many draws the intervals come from.
    """
    names, groups = metric_names(predictions.info.task), predictions.groups()
    found = [
        SliceFigure("all", "all test images", len(predictions), name, metrics[name])
        for name in names
    ]
    slices = _worst_groups(slices_of(predictions, measure, counts), names[0])
    with progress(slices, "slices", len(slices)) as parts:
        for part in parts:
            found += _figures(part, names, groups, resamples)
    return found


def write_slices(path: Path, found: Sequence[SliceFigure]) -> None:
    """Write a row for each slice and metric; what is not defined stays blank, with its reason."""
    columns = ["kind", "slice", "images", "metric", "value", "low", "high", "reason"]
    write_table(
        path,
        columns,
        (
            [
                item.kind,
                item.name,
                item.images,
                item.metric,
                *map(_rounded, (item.figure.value, item.figure.low, item.figure.high)),
                item.figure.reason,
            ]
            for item in found
        ),
    )


def _worst_groups(slices: Sequence[Slice], metric: str) -> list[Slice]:
    """Keep the worst groups, worst first; those without a value come last."""
    others = [part for part in slices if part.kind != "group"]
    values = {
        part.name: part.measure.headline(part.rows.astype(np.float64))[metric]
        for part in slices
        if part.kind == "group"
    }
    groups = [part for part in slices if part.kind == "group"]
    groups.sort(key=lambda part: np.nan_to_num(values[part.name], nan=np.inf))
    return others + groups[:MOST_GROUPS]


def _figures(
    part: Slice, names: Sequence[str], groups: NDArray[np.int64], resamples: int
) -> list[SliceFigure]:
    """Return a slice's metrics, with intervals from draws of its groups, or of a group's images."""
    images = int(part.rows.sum())
    if not images:
        none = Figure(None, reason=part.empty or _NO_IMAGE)
        return [SliceFigure(part.kind, part.name, 0, name, none) for name in names]
    values = part.measure.headline(part.rows.astype(np.float64))
    own = np.arange(images) if part.kind == "group" else groups[part.rows]
    draws = [part.measure.headline(weights) for weights in _draws(part.rows, own, resamples)]
    found = []
    for name in names:
        ends = interval(np.array([draw[name] for draw in draws])) if draws else None
        figure = metric_figure(part.measure, name, values[name], ends)
        if figure.value is None and part.empty:
            figure = replace(figure, reason=part.empty)
        found.append(SliceFigure(part.kind, part.name, images, name, figure))
    return found


def _draws(rows: NDArray[np.bool_], groups: NDArray[np.int64], resamples: int) -> list[Weights]:
    """Draw the groups of a slice anew; no draws of too few."""
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < LEAST_GROUPS:
        return []
    generator = np.random.default_rng(_SEED)
    draws = []
    for _ in range(resamples):
        weights = np.zeros(len(rows))
        weights[rows] = resampled_weights(numbers, generator)
        draws.append(weights)
    return draws


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
