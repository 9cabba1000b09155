"""What kind of mistakes cost a detector how much.

The six kinds of D. Bolya, S. Foley, J. Hays, J. Hoffman, "TIDE: A General Toolbox for Identifying
Object Detection Errors", ECCV 2020, with its overlaps of 0.5 (right) and 0.1 (on the background):
what a kind costs is the gain in average precision at IoU 0.5 if it alone were mended.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import interpolated
from viewfinder.tasks.matching import Bools, Floats, ImageObjects, choose

ErrorType = Literal["class", "box", "both", "duplicate", "background", "missed"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)

_RIGHT = 0.5
_BACKGROUND = 0.1
_NONE = -1

# ``Judged`` in a few bytes; error and thing are places among the kinds and all objects, or -1.
_DETECTION = np.dtype(
    [
        ("label", np.int32),
        ("score", np.float64),
        ("hit", np.bool_),
        ("error", np.int8),
        ("thing", np.int64),
    ]
)
Detections = NDArray[np.void]


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
    told, unfound = [np.zeros(0, _DETECTION)], [np.zeros(0, np.int32)]
    objects, before = np.zeros(classes), 0
    for number, image in enumerate(images):
        judged, found = judge(image, number)
        told.append(_packed(judged, before))
        unfound.append(np.where(found | image.crowd, _NONE, image.labels).astype(np.int32))
        objects += np.bincount(image.labels[~image.crowd], minlength=classes)
        before += len(image.labels)
    detections, free = np.concatenate(told), np.concatenate(unfound)
    missed = free.copy()
    missed[detections["thing"][detections["thing"] != _NONE]] = _NONE
    missed = missed[missed != _NONE]
    now = _mean_precision(detections, objects)
    costs = {}
    for place, kind in enumerate(ERROR_TYPES[:-1]):
        count = int(np.count_nonzero(detections["error"] == place))
        mended = _mended(detections, place, free)
        costs[kind] = ErrorCost(count, _mean_precision(mended, objects) - now)
    found_only = objects - np.bincount(missed, minlength=classes)
    costs["missed"] = ErrorCost(len(missed), _mean_precision(detections, found_only) - now)
    return costs


def _packed(judged: Sequence[Judged], before: int) -> Detections:
    """Pack an image's detections; ``before`` is the number of objects in the images before it."""
    rows = [
        (
            item.label,
            item.score,
            item.hit,
            _NONE if item.error is None else ERROR_TYPES.index(item.error),
            _NONE if item.thing is None else before + item.thing[1],
        )
        for item in judged
    ]
    return np.array(rows, _DETECTION)


def _mended(detections: Detections, kind: int, free: NDArray[np.int32]) -> Detections:
    """Mend one kind of mistake.

    Of the detections near to an object that nothing found, the best finds it, with its class; the
    others go, as do those that are near to none.

    Args:
        detections: All of them.
        kind: The place of the kind among ``ERROR_TYPES``.
        free: Class of each object of all images that nothing found; -1 for the others.
    """
    wrong = detections["error"] == kind
    near = detections[wrong & (detections["thing"] != _NONE)]
    near = near[free[near["thing"]] != _NONE]
    near = near[np.argsort(-near["score"], kind="stable")]
    best = near[np.sort(np.unique(near["thing"], return_index=True)[1])]
    best["label"], best["hit"] = free[best["thing"]], True
    return np.concatenate([detections[~wrong], best])


def _mean_precision(detections: Detections, objects: Floats) -> float:
    """Return the mean over the classes with objects of the average precision at IoU 0.5."""
    ordered = detections[np.argsort(-detections["score"], kind="stable")]
    precisions = []
    for label in np.flatnonzero(objects):
        right = np.flatnonzero(ordered["hit"][ordered["label"] == label])
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
