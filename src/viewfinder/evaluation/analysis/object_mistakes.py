"""Which objects a detector did not find, and what it found that is not there.

Detections count from the score on that their class is told from; an object is found by a detection
of its class with an IoU of 0.5 or more, as for the kinds of mistakes (``measures/error_types.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.error_types import (
    ERROR_TYPES,
    JUDGED,
    NONE,
    ErrorType,
    Judged,
    judge,
)
from viewfinder.evaluation.measures.opening import image_objects
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.tasks.matching import ImageObjects
from viewfinder.tasks.thresholds import told_places

# What ``Missed`` says, in a few bytes.
_MISSED = np.dtype(
    [
        ("row", np.int32),
        ("index", np.int32),
        ("label", np.int32),
        ("area", np.float64),
        ("near", np.int8),
        ("taken_for", np.int32),
    ]
)


@dataclass(frozen=True, slots=True)
class Missed:
    """An object that nothing found.

    Attributes:
        row: Row of its image.
        index: Its number among the image's objects.
        label: Its class.
        area: In square pixels of the model's input.
        near: What the surest detection near to it did wrong, if there is one.
        taken_for: The class of that detection if the class was its mistake.
    """

    row: int
    index: int
    label: int
    area: float
    near: ErrorType | None
    taken_for: int | None


@dataclass(frozen=True, slots=True)
class Invented:
    """A detection that found nothing.

    Attributes:
        row: Row of its image.
        index: Its number among the image's detections.
        label: Its class.
        score: Its score.
        error: What is wrong with it.
    """

    row: int
    index: int
    label: int
    score: float
    error: ErrorType


class ObjectMistakes:
    """The mistakes of a detector.

    Args:
        missed: What ``Missed`` says, for each object that nothing found.
        judged: The told detections that count, ``JUDGED``, image by image.
        counts: Number of them in each image, [N].
        objects: Number of objects of each class, int64 [C].
    """

    def __init__(
        self,
        missed: NDArray[np.void],
        judged: Judged,
        counts: NDArray[np.int32],
        objects: NDArray[np.int64],
    ) -> None:
        self.judged = judged
        self.objects = objects
        self._missed = missed
        self._ends = np.cumsum(counts)

    def of_image(self, row: int) -> Judged:
        """Return the judged detections of an image."""
        return self.judged[self._ends[row - 1] if row else 0 : self._ends[row]]

    def missed(self) -> Iterator[Missed]:
        """Yield the objects that nothing found, largest first."""
        for place in np.argsort(-self._missed["area"], kind="stable"):
            row, index, label, area, near, taken_for = self._missed[place].item()
            yield Missed(
                row=row,
                index=index,
                label=label,
                area=area,
                near=None if near == NONE else ERROR_TYPES[near],
                taken_for=None if taken_for == NONE else taken_for,
            )

    def invented(self) -> Iterator[Invented]:
        """Yield the detections that found nothing, surest first."""
        wrong = np.flatnonzero(self.judged["error"] != NONE)
        order = np.argsort(-self.judged["score"][wrong], kind="stable")
        for place in wrong[order]:
            row = int(np.searchsorted(self._ends, place, side="right"))
            index, label, score, error, _ = self.judged[place].item()
            yield Invented(row, index, label, score, ERROR_TYPES[error])


def object_mistakes(predictions: PredictionsFile) -> ObjectMistakes:
    """Return what a detector missed and invented."""
    info = predictions.info
    missed, every_judged = bytearray(), bytearray()
    counts = np.zeros(len(predictions), np.int32)
    objects = np.zeros(len(info.classes), np.int64)
    for row, image in enumerate(image_objects(predictions)):
        told = told_places(image.found_labels, image.scores, info.told_from)
        judged, found = judge(_only(image, told))
        judged["index"] = told[judged["index"]]
        every_judged += judged.tobytes()
        counts[row] = len(judged)
        missed += _missed(image, row, found, judged).tobytes()
        objects += np.bincount(image.labels[~image.crowd], minlength=len(objects))
    return ObjectMistakes(
        np.frombuffer(missed, _MISSED), np.frombuffer(every_judged, JUDGED), counts, objects
    )


def _only(image: ImageObjects, told: NDArray[np.int64]) -> ImageObjects:
    return replace(
        image,
        found_labels=image.found_labels[told],
        scores=image.scores[told],
        found_areas=image.found_areas[told],
        overlaps=image.overlaps[told],
    )


def _missed(
    image: ImageObjects, row: int, found: NDArray[np.bool_], judged: Judged
) -> NDArray[np.void]:
    """Return the objects of an image that nothing found, with the surest detection near to each."""
    rising = judged[np.argsort(judged["score"], kind="stable")]
    rising = rising[rising["thing"] != NONE]
    near, taken_for = (np.full(len(image.labels), NONE, np.int32) for _ in range(2))
    near[rising["thing"]] = rising["error"]
    confused = rising["error"] == ERROR_TYPES.index("class")
    taken_for[rising["thing"]] = np.where(confused, rising["label"], NONE)
    numbers = np.flatnonzero(~found & ~image.crowd)
    missed = np.empty(len(numbers), _MISSED)
    missed["row"], missed["index"] = row, numbers
    missed["label"], missed["area"] = image.labels[numbers], image.areas[numbers]
    missed["near"], missed["taken_for"] = near[numbers], taken_for[numbers]
    return missed
