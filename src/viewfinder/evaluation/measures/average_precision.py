"""Precision and recall of detections over all images, as COCO sums them up."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Weights
from viewfinder.tasks.matching import THRESHOLDS, Floats

RECALLS = np.linspace(0, 1, 101)
_TINY = np.spacing(1)


class Marked(NamedTuple):
    """Some detections of a class, each at one threshold of the overlap or at several.

    Attributes:
        places: Their numbers among the detections of the class, rising, int32 [K].
        levels: A bit for each threshold, uint16 [K].
    """

    places: NDArray[np.int32]
    levels: NDArray[np.uint16]

    def at(self, level: int) -> NDArray[np.int32]:
        """Return the numbers of those that are marked at a threshold."""
        return self.places[(self.levels >> level & 1).astype(np.bool_)]


@dataclass(frozen=True)
class ClassMatches:
    """What became of the detections of one class that count at any threshold, best score first.

    Attributes:
        images: Number of the image of each detection, int32 [D].
        ranks: Its place among the image's detections of this class, below 100, uint8 [D].
        told: How many of them, the best ones, reach the score from which on the class is told.
        right: Those that found an object that counts.
        ignored: Those that do not count.
        shown_in: Numbers of the images with objects that count, int32 [K].
        objects: Number of them, int32 [K].
    """

    images: NDArray[np.int32]
    ranks: NDArray[np.uint8]
    told: int
    right: Marked
    ignored: Marked
    shown_in: NDArray[np.int32]
    objects: NDArray[np.int32]

    def curves(self, weights: Weights) -> tuple[Floats, Floats] | None:
        """Return precision at each of 101 recalls, [T, 101], and the recall reached, [T].

        Args:
            weights: How often each image counts, float64 [N].

        Returns:
            None if no object counts.
        """
        objects = float(weights[self.shown_in] @ self.objects)
        if not objects:
            return None
        own = weights[self.images]
        every = np.cumsum(own)
        precision = np.zeros((len(THRESHOLDS), len(RECALLS)))
        reached = np.zeros(len(THRESHOLDS))
        for level in range(len(THRESHOLDS)):
            right, ignored = self.right.at(level), self.ignored.at(level)
            if not len(right):
                continue
            told = np.cumsum(_without(own, ignored)) if len(ignored) else every
            hits = np.cumsum(own[right])
            precision[level] = interpolated(hits, told[right], objects)
            reached[level] = hits[-1] / objects
        return precision, reached

    def recall(self, most: int) -> Floats | None:
        """Return the recall of the best ``most`` detections an image, [T]; None without objects."""
        objects = self.objects.sum()
        found = (self.ranks[self.right.at(level)] < most for level in range(len(THRESHOLDS)))
        right = [np.count_nonzero(best) for best in found]
        return np.array(right) / objects if objects else None


def _without(weights: Floats, places: NDArray[np.int32]) -> Floats:
    kept = weights.copy()
    kept[places] = 0.0
    return kept


def interpolated(hits: Floats, told: Floats, objects: float) -> Floats:
    """Return the largest precision at or beyond each of 101 recalls, [101].

    From one hit to the next precision falls and recall stays, so that hits alone decide.

    Args:
        hits: Number of hits up to each hit, best score first, [H].
        told: Number of detections up to each hit, [H].
        objects: Number of objects.
    """
    envelope = np.maximum.accumulate((hits / (told + _TINY))[::-1])[::-1]
    return np.append(envelope, 0.0)[np.searchsorted(hits / objects, RECALLS)]
