"""Which images one model predicts better or worse than another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Measure
from viewfinder.evaluation.predictions.file import PredictionsFile

_MOST_SCORES = 24


@dataclass(frozen=True)
class Change:
    """An image that two models predict differently well.

    Attributes:
        index: Its row in the predictions.
        id: Its name.
        before: Score of the baseline's prediction; the larger, the better.
        after: Score of the other model's.
    """

    index: int
    id: str
    before: float
    after: float


@dataclass(frozen=True)
class Changes:
    """The images that changed most.

    Attributes:
        flips: Whether these are all images that became wrong or right; else they are those whose
            score changed most.
        worse: Images that the baseline predicts better, the largest change first.
        better: Images that the other model predicts better.
    """

    flips: bool
    worse: list[Change]
    better: list[Change]


def find_changes(
    first: PredictionsFile, second: PredictionsFile, before: Measure, after: Measure
) -> Changes:
    """Find the images that changed.

    Args:
        first: The baseline's predictions.
        second: The other model's.
        before: The baseline's measure.
        after: The other model's.
    """
    scores, others = first.column("score"), second.column("score")
    gains = others - scores
    ids = first.table.column("id").to_pylist()

    def listed(chosen: NDArray[np.bool_], most: int | None) -> list[Change]:
        rows = np.flatnonzero(chosen)
        order = rows[np.argsort(-np.abs(gains[rows]), kind="stable")][:most]
        return [Change(int(i), ids[i], float(scores[i]), float(others[i])) for i in order]

    was, became = before.right(), after.right()
    if was is None or became is None:
        return Changes(False, listed(gains < 0, _MOST_SCORES), listed(gains > 0, _MOST_SCORES))
    return Changes(True, listed(was & ~became, None), listed(became & ~was, None))
