"""What kind of mistakes cost a detector how much.

The six kinds of D. Bolya, S. Foley, J. Hays, J. Hoffman, "TIDE: A General Toolbox for Identifying
Object Detection Errors", ECCV 2020, with its overlaps of 0.5 (right) and 0.1 (on the background):
what a kind costs is the gain in average precision at IoU 0.5 if it alone were mended.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import interpolated
from viewfinder.tasks.matching import Bools, Floats, ImageObjects, choose

ErrorType = Literal["class", "box", "both", "duplicate", "background", "missed"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)

_RIGHT = 0.5
_BACKGROUND = 0.1


@dataclass(frozen=True)
class ErrorCost:
    """What one kind of mistake costs.

    Attributes:
        count: Detections with this mistake; for ``missed``, objects.
        cost: By how much AP at IoU 0.5 would grow without it, in [0, 1].
    """

    count: int
    cost: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A detection that counts, and what became of it.

    Attributes:
        index: Its number among the image's detections.
        label: Its class.
        score: Its score.
        hit: Whether it found an object at IoU 0.5.
        error: Its mistake if not.
        thing: The object that it should have found, by image and number.
    """

    index: int
    label: int
    score: float
    hit: bool
    error: ErrorType | None = None
    thing: tuple[int, int] | None = None


def error_costs(images: Iterable[ImageObjects], classes: int) -> dict[ErrorType, ErrorCost]:
    """Return what each kind of mistake costs.

    Args:
        images: The objects and detections of each image.
        classes: Number of classes.
    """
    detections: list[Judged] = []
    free: dict[tuple[int, int], int] = {}  # class of the objects that nothing found
    objects = np.zeros(classes)
    for number, image in enumerate(images):
        told, found = judge(image, number)
        detections += told
        counted = np.flatnonzero(~image.crowd)
        objects += np.bincount(image.labels[counted], minlength=classes)
        free |= {(number, int(k)): int(image.labels[k]) for k in counted if not found[k]}
    claimed = {item.thing for item in detections if item.error in ("class", "box")}
    missed = [label for thing, label in free.items() if thing not in claimed]
    now = _mean_precision(detections, objects)
    costs = {}
    for kind in ERROR_TYPES[:-1]:
        count = sum(item.error == kind for item in detections)
        costs[kind] = ErrorCost(
            count, _mean_precision(_mended(detections, kind, free), objects) - now
        )
    found_only = objects - np.bincount(np.array(missed, np.int64), minlength=classes)
    costs["missed"] = ErrorCost(len(missed), _mean_precision(detections, found_only) - now)
    return costs


def _mended(
    detections: Sequence[Judged], kind: ErrorType, free: Mapping[tuple[int, int], int]
) -> list[Judged]:
    """Mend one kind of mistake.

    Of the detections near to an object that nothing found, the best finds it, with its class; the
    others go, as do those that are near to none.
    """
    kept = [item for item in detections if item.error != kind]
    found: set[tuple[int, int]] = set()
    wrong = [item for item in detections if item.error == kind]
    for item in sorted(wrong, key=lambda item: -item.score):
        if item.thing is not None and item.thing in free and item.thing not in found:
            found.add(item.thing)
            kept.append(replace(item, label=free[item.thing], hit=True, error=None))
    return kept


def _mean_precision(detections: Sequence[Judged], objects: Floats) -> float:
    """Return the mean over the classes with objects of the average precision at IoU 0.5."""
    labels = np.array([item.label for item in detections], np.int64)
    scores = np.array([item.score for item in detections])
    hits = np.array([item.hit for item in detections], np.bool_)
    order = np.argsort(-scores, kind="stable")
    precisions = []
    for label in np.flatnonzero(objects):
        of_class = hits[order][labels[order] == label]
        right = np.flatnonzero(of_class)
        counts, told = np.arange(1.0, len(right) + 1), (right + 1).astype(np.float64)
        curve = interpolated(counts, told, float(objects[label]))
        precisions.append(float(curve.mean()) if len(right) else 0.0)
    return float(np.mean(precisions)) if precisions else 0.0


def judge(image: ImageObjects, number: int) -> tuple[list[Judged], Bools]:
    """Return the detections that count, with their mistakes, and which objects were found.

    Args:
        image: The objects and detections.
        number: The image's number, for ``Judged.thing``.
    """
    hits, partners = _partners(image)
    found = np.zeros(len(image.labels), np.bool_)
    found[partners[hits]] = True
    told = []
    for index, (label, score) in enumerate(zip(image.found_labels, image.scores, strict=True)):
        right = bool(hits[index])
        if right and image.crowd[partners[index]]:
            continue
        error, thing = (None, None) if right else _mistake(image, index)
        place = None if thing is None else (number, thing)
        told.append(Judged(index, int(label), float(score), right, error, place))
    return told, found


def _partners(image: ImageObjects) -> tuple[Bools, NDArray[np.int64]]:
    """Return which detections found an object at IoU 0.5, [D], and its number."""
    hits = np.zeros(len(image.scores), np.bool_)
    partners = np.zeros(len(image.scores), np.int64)
    for label in np.unique(image.found_labels):
        found = np.flatnonzero(image.found_labels == label)
        found = found[np.argsort(-image.scores[found], kind="stable")]
        objects = np.flatnonzero(image.labels == label)
        objects = objects[np.argsort(image.crowd[objects], kind="stable")]
        counted = int((~image.crowd[objects]).sum())
        overlaps = image.overlaps[np.ix_(found, objects)]
        taken = choose(overlaps, image.crowd[objects], counted=counted)[0]
        right = taken >= 0
        hits[found[right]] = True
        partners[found[right]] = objects[taken[right]]
    return hits, partners


def _mistake(image: ImageObjects, index: int) -> tuple[ErrorType, int | None]:
    """Return a wrong detection's mistake, and the object that it should have found."""
    overlaps = np.where(image.crowd, 0.0, image.overlaps[index])
    if not overlaps.size or overlaps.max() < _BACKGROUND:
        return "background", None
    same = np.where(image.labels == image.found_labels[index], overlaps, 0.0)
    other = np.where(image.labels != image.found_labels[index], overlaps, 0.0)
    if _BACKGROUND <= same.max() < _RIGHT:
        return "box", int(same.argmax())
    if other.max() >= _RIGHT:
        return "class", int(other.argmax())
    return ("duplicate" if same.max() >= _RIGHT else "both"), None
