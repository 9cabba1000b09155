"""What became of the detections of one class, gathered image by image in little memory.

Ranges of the objects' sizes differ in what counts, not in the detections.

An array object for each class of each image would be several times as large as what it holds.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import ClassMatches
from viewfinder.tasks.matching import THRESHOLDS, Bools, ImageMatches


class _Counted(NamedTuple):
    """What one range makes of the detections."""

    objects: "array[int]"
    hits: "array[int]"
    ignored: "array[int]"


_BITS = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)


class Gathering:
    """The matches of one class, added in the order of the images.

    Args:
        ranges: Number of ranges of the objects' sizes, R.
    """

    def __init__(self, ranges: int) -> None:
        self._images = array("I")
        self._detections = array("I")
        self._scores = array("d")
        self._counted = [_Counted(array("I"), array("H"), array("H")) for _ in range(ranges)]

    def add(self, number: int, found: Sequence[ImageMatches]) -> None:
        """Add an image with objects or detections of the class.

        Args:
            number: The image's number.
            found: What became of its detections for each range, [R].
        """
        self._images.append(number)
        self._detections.append(len(found[0].scores))
        self._scores.frombytes(found[0].scores.tobytes())
        for counted, matches in zip(self._counted, found, strict=True):
            counted.objects.append(matches.objects)
            counted.hits.frombytes(_packed(matches.hits).tobytes())
            counted.ignored.frombytes(_packed(matches.ignored).tobytes())

    def joined(self) -> list[ClassMatches]:
        """Return the detections of all images, best score first, for each range, [R]."""
        images, counts = np.array(self._images, np.int32), np.array(self._detections, np.int64)
        scores = np.array(self._scores, np.float64)
        starts = np.cumsum(counts) - counts
        ranks = np.arange(len(scores)) - np.repeat(starts, counts)
        order = np.argsort(-scores, kind="stable")
        own, best = np.repeat(images, counts)[order], ranks[order].astype(np.uint8)
        scores = scores[order]
        return [
            ClassMatches(
                images=own,
                ranks=best,
                scores=scores,
                hits=np.array(counted.hits, np.uint16)[order],
                ignored=np.array(counted.ignored, np.uint16)[order],
                shown_in=images,
                objects=np.array(counted.objects, np.int32),
            )
            for counted in self._counted
        ]


def _packed(levels: Bools) -> NDArray[np.uint16]:
    """Turn a flag at each threshold, bool [T, D], to a bit each, uint16 [D]."""
    return (_BITS @ levels).astype(np.uint16)
