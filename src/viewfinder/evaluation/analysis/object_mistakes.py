"""Which objects a detector did not find, and what it found that is not there.

Detections count from the score on that their class is told from; an object is found by a detection
of its class with an IoU of 0.5 or more, as for the kinds of mistakes (``measures/error_types.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.error_types import ErrorType, Judged, judge
from viewfinder.evaluation.measures.opening import image_objects
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.tasks.matching import ImageObjects
from viewfinder.tasks.thresholds import told_places


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


@dataclass(frozen=True)
class ObjectMistakes:
    """The mistakes of a detector.

    Attributes:
        missed: Largest first.
        invented: Surest first.
        objects: Number of objects of each class, int64 [C].
        told: The numbers of the told detections among all of each image's.
        judged: Those of them that count, and what became of them; their ``index`` counts into
            ``told``.
    """

    missed: list[Missed]
    invented: list[Invented]
    objects: NDArray[np.int64]
    told: list[NDArray[np.int64]]
    judged: list[list[Judged]]


def object_mistakes(predictions: PredictionsFile) -> ObjectMistakes:
    """Return what a detector missed and invented."""
    info = predictions.info
    missed: list[Missed] = []
    invented: list[Invented] = []
    objects = np.zeros(len(info.classes), np.int64)
    every_told, judged = [], []
    for row, image in enumerate(image_objects(predictions)):
        told = told_places(image.found_labels, image.scores, info.told_from)
        image = _only(image, told)
        detections, found = judge(image, row)
        wrong = [item for item in detections if item.error is not None]
        missed += _missed(image, row, found, wrong)
        invented += [
            Invented(row, int(told[item.index]), item.label, item.score, item.error)
            for item in wrong
            if item.error is not None
        ]
        objects += np.bincount(image.labels[~image.crowd], minlength=len(objects))
        every_told.append(told)
        judged.append(detections)
    return ObjectMistakes(
        missed=sorted(missed, key=lambda item: -item.area),
        invented=sorted(invented, key=lambda item: -item.score),
        objects=objects,
        told=every_told,
        judged=judged,
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
    image: ImageObjects, row: int, found: NDArray[np.bool_], wrong: Sequence[Judged]
) -> list[Missed]:
    near = {
        item.thing[1]: item for item in sorted(wrong, key=lambda item: item.score) if item.thing
    }
    return [
        _missed_one(image, row, index, near.get(index))
        for index in np.flatnonzero(~found & ~image.crowd).tolist()
    ]


def _missed_one(image: ImageObjects, row: int, index: int, near: Judged | None) -> Missed:
    confused = near is not None and near.error == "class"
    return Missed(
        row=row,
        index=index,
        label=int(image.labels[index]),
        area=float(image.areas[index]),
        near=near.error if near else None,
        taken_for=near.label if near and confused else None,
    )
