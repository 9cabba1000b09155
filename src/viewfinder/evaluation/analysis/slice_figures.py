"""Metrics of slices, each with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.slices import Slice, metric_names, slices_of
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.intervals import (
    LEAST_GROUPS,
    interval,
    metric_figure,
    resampled_together,
)
from viewfinder.evaluation.measures.measure import Measure, Resamples, headlines
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.progress import progress
from viewfinder.tables import write_table

RESAMPLES = 200
MOST_GROUPS = 8

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
    groups = [part for part in slices if part.kind == "group"]
    if not groups:
        return others
    values = headlines(groups[0].measure, np.stack([part.rows for part in groups]))[metric]
    return others + [groups[place] for place in np.argsort(values, kind="stable")[:MOST_GROUPS]]


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
    draws: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for weights in _draws(part.rows, own, resamples):
        for name, of_draws in headlines(part.measure, weights).items():
            if name in draws:
                draws[name].append(of_draws)
    found = []
    for name in names:
        ends = interval(np.concatenate(draws[name])) if draws[name] else None
        figure = metric_figure(part.measure, name, values[name], ends)
        if figure.value is None and part.empty:
            figure = replace(figure, reason=part.empty)
        found.append(SliceFigure(part.kind, part.name, images, name, figure))
    return found


def _draws(
    rows: NDArray[np.bool_], groups: NDArray[np.int64], resamples: int
) -> Iterator[Resamples]:
    """Draw the groups of a slice anew; no draws of too few."""
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < LEAST_GROUPS:
        return
    for drawn in resampled_together(numbers, resamples):
        weights = np.zeros((len(drawn), len(rows)), drawn.dtype)
        weights[:, rows] = drawn
        yield weights


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
