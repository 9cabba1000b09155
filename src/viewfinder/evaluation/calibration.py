"""Whether probabilities mean what they say.

The reliability diagram and expected calibration error of C. Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017: of the images that get their class with a confidence of 80 %, 80 %
should be right.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from viewfinder.evaluation.palette import FAINT, INK, RIGHT, WRONG

_BINS = 15


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


def reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Reliability:
    """Compare the confidence of predictions with how often they are right.

    Args:
        labels: The true class of each image, int64 [N].
        probabilities: float32 [N, C].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # An interval holds its upper end.
    bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        means = np.bincount(bins, confidence, _BINS) / counts
        shares = np.bincount(bins, right, _BINS) / counts
    error = float(np.nansum(counts * np.abs(means - shares)) / len(labels))
    return Reliability(counts, means, shares, error)


def draw_reliability(path: Path, found: Reliability) -> None:
    """Draw the share of right predictions against their confidence, and how many there are.

    Args:
        path: The PNG file to write.
        found: What ``reliability`` returned.
    """
    figure = Figure(figsize=(5, 5.4), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
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
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"expected calibration error {found.error:.4f}", color=INK, fontsize=11)
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    lower.bar(middles, found.counts[filled], width, color=FAINT)
    lower.set(xlabel="confidence", ylabel="images")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    figure.savefig(path, format="png")
