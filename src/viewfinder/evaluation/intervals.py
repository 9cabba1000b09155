"""How sure a metric is: bootstrap intervals over images.

The percentile bootstrap of B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of
Statistics 1979. Images that belong together (one patient, one film, near duplicates) are drawn
together, since they are no independent evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.measures.measure import (
    Headline,
    Measure,
    Resamples,
    Weights,
    headlines,
)
from viewfinder.progress import progress

RESAMPLES = 1000
LEAST_GROUPS = 6  # of five all that differ may lean one way by chance once in sixteen times
TOO_FEW = f"no interval: fewer than {LEAST_GROUPS} images or groups"
NEVER_DEFINED = "no interval: no resample of the images defines it"
Draws = Mapping[str, NDArray[np.float64]]

_TAILS = (2.5, 97.5)  # percent
_SEED = 0
_TOGETHER = 32


def resampled_weights(groups: NDArray[np.int64], generator: np.random.Generator) -> Weights:
    """Draw as many groups as there are, with replacement; return how often each image is drawn.

    Args:
        groups: Number of the group of each image, from 0, int64 [N].
        generator: Where the draws come from.
    """
    count = int(groups.max()) + 1
    drawn = np.bincount(generator.integers(0, count, count), minlength=count)
    return drawn[groups].astype(np.float64)


def resampled_together(groups: NDArray[np.int64], resamples: int) -> Iterator[Resamples]:
    """Draw groups many times; yield some tens of resamples at a time, uint16 [R, N].

    Args:
        groups: Number of the group of each image, from 0, int64 [N].
        resamples: How many draws to make.
    """
    generator = np.random.default_rng(_SEED)
    for start in range(0, resamples, _TOGETHER):
        weights = np.empty((min(_TOGETHER, resamples - start), len(groups)), np.uint16)
        for row in weights:
            row[:] = resampled_weights(groups, generator)
        yield weights


def resampled(
    measures: Sequence[Measure], groups: NDArray[np.int64], resamples: int = RESAMPLES
) -> list[Draws]:
    """Return the headline metrics of measures of the same images, on the same resamples of them.

    Args:
        measures: What computes the metrics.
        groups: Number of the group of each image, from 0, int64 [N].
        resamples: How many draws to make, R.

    Returns:
        Of each measure its metrics, [R] each, by name; nothing if there are fewer than
        ``LEAST_GROUPS`` groups, which tell too little.
    """
    if len(np.unique(groups)) < LEAST_GROUPS:
        return [{} for _ in measures]
    found: list[dict[str, list[NDArray[np.float64]]]] = [{} for _ in measures]
    parts = range(0, resamples, _TOGETHER)
    with progress(resampled_together(groups, resamples), "intervals", len(parts)) as batches:
        for weights in batches:
            for measure, draws in zip(measures, found, strict=True):
                for name, values in headlines(measure, weights).items():
                    draws.setdefault(name, []).append(values)
    return [{name: np.concatenate(values) for name, values in draws.items()} for draws in found]


def figures(
    measure: Measure, groups: NDArray[np.int64], resamples: int = RESAMPLES
) -> dict[str, Figure]:
    """Return every metric of a measure: first the headline ones, with their intervals.

    Args:
        measure: What computes the metrics.
        groups: Number of the group of each image, from 0, int64 [N].
        resamples: How many draws the intervals come from.
    """
    found = headline_figures(measure, resampled([measure], groups, resamples)[0])
    found |= {name: metric_figure(measure, name, value) for name, value in measure.others().items()}
    return found


def headline_figures(measure: Measure, draws: Draws) -> dict[str, Figure]:
    """Return the headline metrics of a measure with the intervals that resamples of them give."""
    values = measure.headline(np.ones(measure.images))
    ends = {name: interval(of_metric) for name, of_metric in draws.items()}
    found = {
        name: metric_figure(measure, name, value, ends.get(name)) for name, value in values.items()
    }
    if draws:
        return found
    return {name: replace(it, reason=it.reason or TOO_FEW) for name, it in found.items()}


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the middle 95 % of the values that are defined, [R]."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, _TAILS)
    return float(low), float(high)


def metric_figure(
    measure: Headline, name: str, value: float, ends: tuple[float, float] | None = None
) -> Figure:
    """Return a metric with its interval, or why it has no value.

    Args:
        measure: What computed it.
        name: Of the metric.
        value: Not a number if it is not defined.
        ends: Of its interval, if it has one; not numbers if no resample defines the metric.
    """
    if np.isnan(value):
        reason = measure.reasons.get(name, "not defined on these images")
        return Figure(None, reason=reason)
    if ends is None:
        return Figure(value)
    if np.isnan(ends).any():
        return Figure(value, reason=NEVER_DEFINED)
    return Figure(value, *ends)
