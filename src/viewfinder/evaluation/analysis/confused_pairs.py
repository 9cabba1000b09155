"""Which class is taken for which, most frequent first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.object_mistakes import ObjectMistakes
from viewfinder.evaluation.measures.image_classes import ImageClasses
from viewfinder.evaluation.measures.measure import Measure
from viewfinder.evaluation.measures.pixel_classes import PixelClasses
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.tables import write_table

_DECIMALS = 5


@dataclass(frozen=True)
class ConfusedPair:
    """One class taken for another.

    Attributes:
        actual: The true class.
        predicted: What it was taken for.
        count: How often: images, objects or pixels.
        share: Of all that there are of the true class.
    """

    actual: int
    predicted: int
    count: int
    share: float


def confused_pairs(
    predictions: PredictionsFile, measure: Measure, mistakes: ObjectMistakes | None
) -> list[ConfusedPair]:
    """Return the pairs of classes that were confused, most frequent first.

    Args:
        predictions: The predictions for a split.
        measure: Their measure.
        mistakes: The mistakes of a detector, if it is one.
    """
    count = len(predictions.info.classes)
    if isinstance(measure, ImageClasses | PixelClasses):
        matrix = measure.confusion()
        return _ordered(matrix, matrix.sum(axis=1))
    if mistakes is not None:
        confused = (
            (item.label, item.taken_for) for item in mistakes.missed() if item.taken_for is not None
        )
        return _ordered(_matrix(confused, count), mistakes.objects)
    swapped: list[tuple[int, int]] = []
    totals = np.zeros(count, np.int64)
    for _, (labels, told) in predictions.parts("labels", "present"):
        swapped += _swapped(labels, told)
        totals += labels.sum(axis=0)
    return _ordered(_matrix(swapped, count), totals)


def write_confused_pairs(path: Path, pairs: Sequence[ConfusedPair], classes: Sequence[str]) -> None:
    """Write a row for each pair; the share is that of the true class."""
    write_table(
        path,
        ["actual", "predicted", "count", "share_of_actual"],
        (
            [
                classes[pair.actual],
                classes[pair.predicted],
                pair.count,
                round(pair.share, _DECIMALS),
            ]
            for pair in pairs
        ),
    )


def _ordered(matrix: NDArray[np.int64], totals: NDArray[np.int64]) -> list[ConfusedPair]:
    pairs = [
        ConfusedPair(row, column, int(matrix[row, column]), matrix[row, column] / totals[row])
        for row, column in np.argwhere(matrix).tolist()
        if row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.actual, pair.predicted))


def _matrix(confused: Iterable[tuple[int, int]], count: int) -> NDArray[np.int64]:
    matrix = np.zeros((count, count), np.int64)
    for actual, predicted in confused:
        matrix[actual, predicted] += 1
    return matrix


def _swapped(labels: NDArray[np.bool_], told: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the one class missed and the one invented, of images where it is one and one.

    Where there are several, nobody can say which was taken for which.
    """
    missed, invented = labels & ~told, told & ~labels
    alone = (missed.sum(axis=1) == 1) & (invented.sum(axis=1) == 1)
    pairs = zip(missed[alone].argmax(axis=1), invented[alone].argmax(axis=1), strict=True)
    return [(int(actual), int(predicted)) for actual, predicted in pairs]
