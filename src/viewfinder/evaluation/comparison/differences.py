"""How sure it is that one model is better than another on the same images.

Both models are judged on the same resamples (B. Efron and R. Tibshirani, "An Introduction to the
Bootstrap", 1993): what makes some images hard for both drops out of the difference. Of the two
models' right and wrong images McNemar's exact test takes those on which they disagree
(Q. McNemar, "Note on the sampling error of the difference between correlated proportions",
Psychometrika 1947).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.intervals import (
    NEVER_DEFINED,
    RESAMPLES,
    TOO_FEW,
    Draws,
    headline_figures,
    interval,
    resampled,
)
from viewfinder.evaluation.measures.measure import Measure

SIGNIFICANT = 0.05
_ROUNDING = 1e-12  # the same figure, summed up in another order


@dataclass(frozen=True)
class Difference:
    """A metric of a model minus that of the baseline.

    Attributes:
        value: None if the metric is not defined for both.
        low: Lower end of the 95 % interval; None if there is none.
        high: Its upper end.
        p: Two-sided p-value; None if there is none.
        reason: Why something is missing.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str | None = None

    @property
    def significant(self) -> bool:
        """Whether the p-value is below 0.05."""
        return self.p is not None and self.p < SIGNIFICANT


@dataclass(frozen=True)
class Discordance:
    """The images that one of two models alone gets right.

    Attributes:
        lost: Images that the baseline alone gets right.
        won: Images that the other model alone gets right.
        p: McNemar's exact two-sided p-value.
    """

    lost: int
    won: int
    p: float

    @property
    def significant(self) -> bool:
        """Whether the p-value is below 0.05."""
        return self.p < SIGNIFICANT


@dataclass(frozen=True)
class Standing:
    """How a model does.

    Attributes:
        figures: Its headline metrics.
        differences: Their differences to the baseline, whose own there are none.
        discordance: The images that one of the two alone gets right; None for the baseline, and
            where a prediction is neither right nor wrong.
    """

    figures: Mapping[str, Figure]
    differences: Mapping[str, Difference]
    discordance: Discordance | None


def standings(
    measures: Sequence[Measure], groups: NDArray[np.int64], resamples: int = RESAMPLES
) -> list[Standing]:
    """Judge models on the same images, all but the first one also against the first.

    Args:
        measures: Measure of each model's predictions; the first is the baseline.
        groups: Number of the group of each image, from 0, int64 [N].
        resamples: How many draws intervals and p-values come from.
    """
    draws = resampled(measures, groups, resamples)
    figures = [
        headline_figures(measure, of_model)
        for measure, of_model in zip(measures, draws, strict=True)
    ]
    first = Standing(figures[0], {}, None)
    others = [
        Standing(
            own,
            _differences(figures[0], own, draws[0], of_model),
            discordance(measures[0], measure),
        )
        for own, of_model, measure in zip(figures[1:], draws[1:], measures[1:], strict=True)
    ]
    return [first, *others]


def discordance(first: Measure, second: Measure) -> Discordance | None:
    """Count the images on which two models disagree; None where nothing is right or wrong."""
    before, after = first.right(), second.right()
    if before is None or after is None:
        return None
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    p = float(binomtest(won, lost + won).pvalue) if lost + won else 1.0
    return Discordance(lost, won, p)


def p_value(draws: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a difference from its resamples, [R].

    The smaller share of resamples on either side of zero, doubled; one is added to both counts, so
    that R resamples never claim less than 2 / (R + 1) (A. Davison and D. Hinkley, "Bootstrap
    Methods and their Application", 1997).
    """
    tail = min(int((draws <= _ROUNDING).sum()), int((draws >= -_ROUNDING).sum()))
    return min(1.0, 2 * (tail + 1) / (len(draws) + 1))


def _differences(
    before: Mapping[str, Figure], after: Mapping[str, Figure], first: Draws, second: Draws
) -> dict[str, Difference]:
    return {
        name: _difference(before[name], after[name], first.get(name), second.get(name))
        for name in before
    }


def _difference(
    before: Figure,
    after: Figure,
    first: NDArray[np.float64] | None,
    second: NDArray[np.float64] | None,
) -> Difference:
    if before.value is None or after.value is None:
        return Difference(None, reason=before.reason or after.reason)
    value = after.value - before.value
    if first is None or second is None:
        return Difference(value, reason=TOO_FEW)
    draws = second - first
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Difference(value, reason=NEVER_DEFINED)
    return Difference(value, *interval(defined), p_value(defined))
