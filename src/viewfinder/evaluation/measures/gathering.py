"""What became of the detections of one class, gathered image by image in little memory.

An array object for each class of each image would be several times as large as what it holds.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import ClassMatches
from viewfinder.tasks.matching import THRESHOLDS, Bools, ImageMatches

_BITS = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)


class Gathering:
    """The matches of one class, added in the order of the images."""

    def __init__(self) -> None:
        self._images = array("I")
        self._detections = array("I")
        self._objects = array("I")
        self._scores = array("d")
        self._hits = array("H")
        self._ignored = array("H")

    def add(self, number: int, found: ImageMatches) -> None:
        """Add an image with objects or detections of the class, by its number."""
        self._images.append(number)
        self._detections.append(len(found.scores))
        self._objects.append(found.objects)
        self._scores.frombytes(found.scores.tobytes())
        self._hits.frombytes(_packed(found.hits).tobytes())
        self._ignored.frombytes(_packed(found.ignored).tobytes())

    def joined(self) -> ClassMatches:
        """Return the detections of all images, best score first."""
        images, counts = np.array(self._images, np.int32), np.array(self._detections, np.int64)
        scores = np.array(self._scores, np.float64)
        starts = np.cumsum(counts) - counts
        ranks = np.arange(len(scores)) - np.repeat(starts, counts)
        order = np.argsort(-scores, kind="stable")
        return ClassMatches(
            images=np.repeat(images, counts)[order],
            ranks=ranks[order].astype(np.uint8),
            scores=scores[order],
            hits=np.array(self._hits, np.uint16)[order],
            ignored=np.array(self._ignored, np.uint16)[order],
            shown_in=images,
            objects=np.array(self._objects, np.int32),
        )


def _packed(levels: Bools) -> NDArray[np.uint16]:
    """Turn a flag at each threshold, bool [T, D], to a bit each, uint16 [D]."""
    return (_BITS @ levels).astype(np.uint16)
