"""What a measure is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.per_class import ClassTable

Weights = NDArray[np.float64]
Resamples = NDArray[Any]  # how often each of several resamples takes each image, [R, N]


class Headline(Protocol):
    """The metrics that a model is judged by, over all predictions or a part of them."""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a metric may not be defined, by name."""

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return the metrics that a model is judged by; not a number where one is not defined.

        Args:
            weights: How often each image counts, float64 [N].
        """


@runtime_checkable
class Together(Headline, Protocol):
    """A headline that takes less time for several resamples at once than for one by one."""

    def headlines(self, resamples: Resamples) -> dict[str, NDArray[np.float64]]:
        """Return the metrics on each resample, as ``headlines`` does."""


class Measure(Headline, Protocol):
    """The metrics of one table of predictions.

    Attributes:
        images: Number of images.
    """

    images: int

    def others(self) -> dict[str, float]:
        """Return further metrics, in the same way, with every image counting once."""

    def by_class(self) -> ClassTable:
        """Return the figures of each class."""

    def right(self) -> NDArray[np.bool_] | None:
        """Return whether the prediction for each image is right, bool [N].

        None where a prediction is no more than better or worse.
        """

    def write(self, plots: Path, tables: Path) -> None:
        """Write pictures to one folder and tables to another."""


def headlines(measure: Headline, resamples: Resamples) -> dict[str, NDArray[np.float64]]:
    """Return the metrics that a model is judged by, on each of several resamples, [R] each.

    Args:
        measure: What computes them.
        resamples: How often each of them takes each image, numbers of any kind, [R, N].
    """
    if isinstance(measure, Together):
        return measure.headlines(resamples)
    found = [measure.headline(weights.astype(np.float64)) for weights in resamples]
    return {name: np.array([figures[name] for figures in found]) for name in found[0]}


def mean(values: NDArray[np.float64]) -> float:
    """Return a mean; of nothing it is not a number."""
    return float(values.mean()) if values.size else float("nan")


def ratio(part: float, whole: float) -> float:
    """Return a share; of nothing it is not a number."""
    return float(part / whole) if whole else float("nan")
