"""What became of the detections of one class, gathered image by image in little memory.

Ranges of the objects' sizes differ in what counts, not in the detections.

An array object for each class of each image would be several times as large as what it holds.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import ClassMatches, Marked
from viewfinder.tasks.matching import THRESHOLDS, Bools, ImageMatches


class _Counted(NamedTuple):
    """What one range makes of the objects and the detections."""

    shown_in: "array[int]"
    objects: "array[int]"
    hits: "array[int]"
    ignored: "array[int]"


_BITS = 1 << np.arange(len(THRESHOLDS), dtype=np.uint16)
_AT_ALL = _BITS.sum()


class Gathering:
    """The matches of one class, added in the order of the images.

    Args:
        ranges: Number of ranges of the objects' sizes, R.
    """

    def __init__(self, ranges: int) -> None:
        self._images = array("I")
        self._detections = array("B")
        self._scores = array("f")
        self._counted = [
            _Counted(array("I"), array("I"), array("H"), array("H")) for _ in range(ranges)
        ]

    def add(self, number: int, found: Sequence[ImageMatches]) -> None:
        """Add an image with objects or detections of the class.

        Args:
            number: The image's number.
            found: What became of its detections for each range, [R].
        """
        scores = found[0].scores.astype(np.float32)
        if len(scores):
            self._images.append(number)
            self._detections.append(len(scores))
            self._scores.frombytes(scores.tobytes())
        for counted, matches in zip(self._counted, found, strict=True):
            if matches.objects:
                counted.shown_in.append(number)
                counted.objects.append(matches.objects)
            counted.hits.frombytes(_packed(matches.hits).tobytes())
            counted.ignored.frombytes(_packed(matches.ignored).tobytes())

    def joined(self, threshold: float) -> Iterator[ClassMatches]:
        """Yield the detections of all images, best score first, for each range, [R].

        Args:
            threshold: Score from which on the class is told.
        """
        counts = np.array(self._detections, np.int64)
        scores = np.array(self._scores, np.float32)
        images = np.repeat(np.array(self._images, np.int32), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        ranks = (np.arange(len(scores)) - starts).astype(np.uint8)
        order = np.argsort(-scores, kind="stable").astype(np.int32)
        for counted in self._counted:
            hits, ignored = np.array(counted.hits, np.uint16), np.array(counted.ignored, np.uint16)
            own = order[ignored[order] != _AT_ALL]
            hits, ignored = hits[own], ignored[own]
            yield ClassMatches(
                images=images[own],
                ranks=ranks[own],
                told=int(np.count_nonzero(scores[own] >= np.float64(threshold))),
                right=_marked(hits & ~ignored),
                ignored=_marked(ignored),
                shown_in=np.array(counted.shown_in, np.int32),
                objects=np.array(counted.objects, np.int32),
            )


def _marked(levels: NDArray[np.uint16]) -> Marked:
    places = np.flatnonzero(levels).astype(np.int32)
    return Marked(places, levels[places])


def _packed(levels: Bools) -> NDArray[np.uint16]:
    """Turn a flag at each threshold, bool [T, D], to a bit each, uint16 [D]."""
    return (_BITS @ levels).astype(np.uint16)
