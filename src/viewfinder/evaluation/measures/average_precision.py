"""Precision and recall of detections over all images, as COCO sums them up."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Weights
from viewfinder.tasks.matching import THRESHOLDS, Bools, Floats

RECALLS = np.linspace(0, 1, 101)
_TINY = np.spacing(1)


@dataclass(frozen=True)
class ClassMatches:
    """What became of all detections of one class, best score first.

    Attributes:
        images: Number of the image of each detection, int32 [D].
        ranks: Its place among the image's detections of this class, below 100, uint8 [D].
        scores: [D].
        hits: Whether it found an object, a bit for each threshold of the overlap, uint16 [D].
        ignored: Whether it does not count, in the same way.
        shown_in: Numbers of the images with objects or detections of the class, int32 [K].
        objects: Number of objects that count in each of them, int32 [K].
    """

    images: NDArray[np.int32]
    ranks: NDArray[np.uint8]
    scores: Floats
    hits: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
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
        for level, (right, ignored) in enumerate(zip(self._right, self._ignored, strict=True)):
            if not len(right):
                continue
            told = every if ignored is None else np.cumsum(own * ~ignored)
            hits = np.cumsum(own[right])
            precision[level] = interpolated(hits, told[right], objects)
            reached[level] = hits[-1] / objects
        return precision, reached

    def recall(self, most: int) -> Floats | None:
        """Return the recall of the best ``most`` detections an image, [T]; None without objects."""
        objects = self.objects.sum()
        best = self.ranks < most
        right = [np.count_nonzero(best & self.right(level)) for level in range(len(THRESHOLDS))]
        return np.array(right) / objects if objects else None

    def right(self, level: int) -> Bools:
        """Return which detections found an object that counts, at a threshold, bool [D]."""
        return at_level(self.hits & ~self.ignored, level)

    @cached_property
    def _right(self) -> list[NDArray[np.int32]]:
        """The detections that found an object that counts, at each threshold."""
        levels = range(len(THRESHOLDS))
        return [np.flatnonzero(self.right(level)).astype(np.int32) for level in levels]

    @cached_property
    def _ignored(self) -> list[Bools | None]:
        """The detections that do not count, at each threshold; None where all of them count."""
        rows = (at_level(self.ignored, level) for level in range(len(THRESHOLDS)))
        return [row if row.any() else None for row in rows]


def at_level(bits: NDArray[np.uint16], level: int) -> Bools:
    """Return the flags at a threshold, bool [D]."""
    return np.asarray((bits >> level & 1).astype(np.bool_))


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
