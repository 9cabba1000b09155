"""What a detector tells and finds, once each class has a score from which on it is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from viewfinder.evaluation.measures.average_precision import ClassMatches
from viewfinder.evaluation.measures.measure import Weights, ratio
from viewfinder.evaluation.measures.per_class import PRECISION_RECALL, Row, rounded_or_blank
from viewfinder.tables import write_table
from viewfinder.tasks.matching import IOU_50, Floats

_COLUMNS = ("class", "threshold", "objects", "told", *PRECISION_RECALL)
_NO_OBJECT = "no object in any image"


class OperatingPoint:
    """Precision, recall and F1 at IoU 0.5 of the detections from their class's threshold on.

    Args:
        matches: What became of all detections, of each class.
        thresholds: Score from which on each class is told; not found on these images.
        images: Number of images, N.
    """

    reasons: Mapping[str, str] = {
        "precision": "no detection reaches its class's threshold",
        "recall": _NO_OBJECT,
        "f1": f"{_NO_OBJECT}, and none told",
    }

    def __init__(
        self, matches: Sequence[ClassMatches], thresholds: Sequence[float], images: int
    ) -> None:
        self._thresholds = thresholds
        self._by_image = np.zeros((3, images))
        self._of_classes = []
        for of_class in matches:
            counts = _counts(of_class, images)
            self._by_image += counts
            self._of_classes.append(counts.sum(axis=1))

    def figures(self, weights: Weights) -> dict[str, float]:
        """Return ``precision``, ``recall`` and ``f1`` over all detections, whatever their class.

        Args:
            weights: How often each image counts, float64 [N].
        """
        return dict(zip(PRECISION_RECALL, _figures(self._by_image @ weights), strict=True))

    def points(self) -> list[tuple[float, float] | None]:
        """Return recall and precision of each class; None where one is not defined."""
        figures = [_figures(counts) for counts in self._of_classes]
        return [
            None if np.isnan([precision, recall]).any() else (recall, precision)
            for precision, recall, _ in figures
        ]

    def write(self, tables: Path, classes: Sequence[str]) -> None:
        """Write ``operating_point.csv`` with a row for each class."""
        rows: list[Row] = []
        for name, threshold, counts in zip(
            classes, self._thresholds, self._of_classes, strict=True
        ):
            objects, told, _ = (int(count) for count in counts)
            figures = rounded_or_blank(np.array(_figures(counts)))
            rows.append([name, round(threshold, 5), objects, told, *figures])
        write_table(tables / "operating_point.csv", _COLUMNS, rows)


def _counts(matches: ClassMatches, images: int) -> Floats:
    """Return the objects, the detections told and those of them that are right, [3, N]."""
    told = np.setdiff1d(np.arange(matches.told), matches.ignored.at(IOU_50))
    right = matches.right.at(IOU_50)
    right = right[right < matches.told]
    found = (np.bincount(matches.images[chosen], minlength=images) for chosen in (told, right))
    objects = np.bincount(matches.shown_in, matches.objects, images)
    return np.array([objects, *found], np.float64)


def _figures(counts: Floats) -> list[float]:
    """Return precision, recall and F1; not a number where one is not defined."""
    objects, told, right = (float(count) for count in counts)
    return [ratio(right, told), ratio(right, objects), ratio(2 * right, told + objects)]
