"""Whether probabilities mean what they say.

The reliability diagram and expected calibration error of C. Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017: of the images that get their class with a confidence of 80 %, 80 %
should be right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from viewfinder.drawing.palette import FAINT, INK, RIGHT, WRONG

_BINS = 15
_FEW = 100


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy.

    Attributes:
        counts: Images of each of 15 equally wide intervals of the confidence, int64 [15].
        confidence: Their mean confidence, [15]; not a number where there is none.
        accuracy: The share of them that is right, [15].
        error: Expected calibration error: mean distance of the two, weighted by images.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float


def reliability(
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]],
) -> Reliability:
    """Compare the confidence of predictions with how often they are right.

    Args:
        parts: Of some images at a time the true class of each, int64 [N], and the probabilities,
            [N, C].
    """
    counts = np.zeros(_BINS, np.int64)
    confidences, hits = np.zeros(_BINS), np.zeros(_BINS)
    for labels, probabilities in parts:
        confidence = probabilities.max(axis=1).astype(np.float64)
        # An interval holds its upper end.
        bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
        counts += np.bincount(bins, minlength=_BINS)
        confidences += np.bincount(bins, confidence, _BINS)
        hits += np.bincount(bins, probabilities.argmax(axis=1) == labels, _BINS)
    means, shares = (_divided(sums, counts) for sums in (confidences, hits))
    error = float(np.nansum(counts * np.abs(means - shares)) / counts.sum())
    return Reliability(counts, means, shares, error)


def _divided(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    nothing = np.full(_BINS, np.nan)
    return np.asarray(np.divide(sums, counts, out=nothing, where=counts > 0))


def unscaled(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities that there would be without temperature scaling, [N, C].

    Args:
        probabilities: With it, [N, C].
        temperature: What the logits were divided by.
    """
    powers = np.power(probabilities.astype(np.float64), temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def draw_reliability(path: Path, panels: Mapping[str, Reliability]) -> None:
    """Draw the share of right predictions against their confidence, and how many there are.

    Args:
        path: The PNG file to write.
        panels: What ``reliability`` returned, by what it was told of; side by side.
    """
    layout = ConstrainedLayoutEngine(wspace=0.06)
    figure = Figure(figsize=(0.6 + 4.4 * len(panels), 5.6), dpi=110, layout=layout)
    axes = figure.subplots(
        2, len(panels), height_ratios=[4, 1], sharex=True, sharey="row", squeeze=False
    )
    for (upper, lower), (name, found) in zip(axes.T, panels.items(), strict=True):
        _draw_panel(upper, lower, name, found)
    axes[0, 0].set_ylabel("share that is right")
    axes[1, 0].set_ylabel("images")
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        frameon=False,
        loc="outside lower center",
        ncols=3,
        fontsize=9,
    )
    figure.savefig(path, format="png")


def _draw_panel(upper: Axes, lower: Axes, name: str, found: Reliability) -> None:
    filled = found.counts > 0
    middles = (np.arange(_BINS)[filled] + 0.5) / _BINS
    width = 0.9 / _BINS
    upper.bar(middles, found.accuracy[filled], width, color=RIGHT, label="right")
    upper.hlines(
        found.confidence[filled],
        middles - width / 2,
        middles + width / 2,
        color=WRONG,
        linewidth=2.5,
        label="mean confidence",
    )
    upper.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="calibrated")
    upper.set(xlim=(0, 1), ylim=(0, 1))
    heading = f"{name}\nexpected calibration error {found.error:.4f}"
    upper.set_title(heading, color=INK, fontsize=11)
    bars = lower.bar(middles, found.counts[filled], width, color=FAINT)
    # Bars of so few images say little, and are too low to be read.
    few = [str(count) if count < _FEW else "" for count in found.counts[filled]]
    lower.bar_label(bars, few, fontsize=7.5, color=INK)
    lower.margins(y=0.25)
    lower.set(xlabel="confidence")
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
