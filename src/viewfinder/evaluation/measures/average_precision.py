"""Precision and recall of detections over all images, as COCO sums them up."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Weights
from viewfinder.tasks.matching import THRESHOLDS, Bools, Floats, ImageMatches

RECALLS = np.linspace(0, 1, 101)
_TINY = np.spacing(1)
_NOTHING = ImageMatches(
    scores=np.zeros(0),
    hits=np.zeros((len(THRESHOLDS), 0), np.bool_),
    ignored=np.zeros((len(THRESHOLDS), 0), np.bool_),
    objects=0,
)


@dataclass(frozen=True)
class ClassMatches:
    """What became of all detections of one class, best score first.

    Attributes:
        images: Number of the image of each detection, int64 [D].
        ranks: Its place among the image's detections of this class, int64 [D].
        scores: [D].
        hits: Whether it found an object, at each threshold of the overlap, bool [T, D].
        ignored: Whether it does not count, bool [T, D].
        objects: Number of objects that count in each image, int64 [N].
    """

    images: NDArray[np.int64]
    ranks: NDArray[np.int64]
    scores: Floats
    hits: Bools
    ignored: Bools
    objects: NDArray[np.int64]

    @classmethod
    def join(cls, matches: Mapping[int, ImageMatches], images: int) -> "ClassMatches":
        """Join the matches of all images.

        Args:
            matches: Of each image with objects or detections of the class, by number, ascending.
            images: Number of images, N.
        """
        numbers = np.array(list(matches), np.int64)
        found = [_NOTHING, *matches.values()]
        counts = [len(of_image.scores) for of_image in matches.values()]
        scores = np.concatenate([of_image.scores for of_image in found])
        order = np.argsort(-scores, kind="stable")
        ranks = np.concatenate([np.arange(len(of_image.scores)) for of_image in found])
        objects = np.zeros(images, np.int64)
        objects[numbers] = [of_image.objects for of_image in matches.values()]
        return cls(
            images=np.repeat(numbers, counts)[order],
            ranks=ranks[order],
            scores=scores[order],
            hits=np.concatenate([of_image.hits for of_image in found], axis=1)[:, order],
            ignored=np.concatenate([of_image.ignored for of_image in found], axis=1)[:, order],
            objects=objects,
        )

    def curves(self, weights: Weights) -> tuple[Floats, Floats] | None:
        """Return precision at each of 101 recalls, [T, 101], and the recall reached, [T].

        Args:
            weights: How often each image counts, float64 [N].

        Returns:
            None if no object counts.
        """
        objects = float(weights @ self.objects)
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
        right = self.hits & ~self.ignored & (self.ranks < most)
        return right.sum(axis=1) / objects if objects else None

    @cached_property
    def _right(self) -> list[NDArray[np.int64]]:
        """The detections that found an object that counts, at each threshold."""
        return [np.flatnonzero(row) for row in self.hits & ~self.ignored]

    @cached_property
    def _ignored(self) -> list[Bools | None]:
        """The detections that do not count, at each threshold; None where all of them count."""
        return [row if row.any() else None for row in self.ignored]


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
