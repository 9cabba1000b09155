"""What kind of mistakes cost a detector how much.

The six kinds of D. Bolya, S. Foley, J. Hays, J. Hoffman, "TIDE: A General Toolbox for Identifying
Object Detection Errors", ECCV 2020, with its overlaps of 0.5 (right) and 0.1 (on the background):
what a kind costs is the gain in average precision at IoU 0.5 if it alone were mended.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.average_precision import interpolated
from viewfinder.tasks.matching import Bools, Floats, ImageObjects, choose

ErrorType = Literal["class", "box", "both", "duplicate", "background", "missed"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)
NONE = -1

_RIGHT = 0.5
_BACKGROUND = 0.1
_CLASS, _BOX, _BOTH, _DUPLICATE, _ON_BACKGROUND = range(len(ERROR_TYPES) - 1)

# A detection that counts, and what became of it: its number among the image's detections, its
# class and score, its mistake by its place among ``ERROR_TYPES``, and the number of the object
# that it should have found. Without a mistake or such an object these are ``NONE``.
JUDGED = np.dtype(
    [
        ("index", np.int32),
        ("label", np.int32),
        ("score", np.float32),
        ("error", np.int8),
        ("thing", np.int32),
    ]
)
Judged = NDArray[np.void]

_NEAR = np.dtype([("score", np.float32), ("error", np.int8), ("thing", np.int64)])


@dataclass(frozen=True)
class ErrorCost:
    """What one kind of mistake costs.

    Attributes:
        count: Detections with this mistake; for ``missed``, objects.
        cost: By how much AP at IoU 0.5 would grow without it, in [0, 1].
    """

    count: int
    cost: float


@dataclass(frozen=True)
class _Detections:
    """Scores and mistakes of the detections of a class, in the order of the images."""

    scores: NDArray[np.float32]
    errors: NDArray[np.int8]


def error_costs(images: Iterable[ImageObjects], classes: int) -> dict[ErrorType, ErrorCost]:
    """Return what each kind of mistake costs.

    Args:
        images: The objects and detections of each image.
        classes: Number of classes.
    """
    scores, errors = ([array(code) for _ in range(classes)] for code in "fb")
    unfound, near = array("i"), bytearray()
    objects = np.zeros(classes)
    for image in images:
        judged, found = judge(image)
        for label in np.unique(judged["label"]):
            own = judged[judged["label"] == label]
            scores[label].frombytes(own["score"].tobytes())
            errors[label].frombytes(own["error"].tobytes())
        near += _near(judged, before=len(unfound)).tobytes()
        free = np.where(found | image.crowd, NONE, image.labels).astype(np.int32)
        unfound.frombytes(free.tobytes())
        objects += np.bincount(image.labels[~image.crowd], minlength=classes)
    detections = [
        _Detections(np.frombuffer(one, np.float32), np.frombuffer(other, np.int8))
        for one, other in zip(scores, errors, strict=True)
    ]
    return _costs(detections, np.frombuffer(near, _NEAR), np.frombuffer(unfound, np.int32), objects)


def _near(judged: Judged, before: int) -> NDArray[np.void]:
    """Return the detections that should have found an object.

    Args:
        judged: An image's detections.
        before: Number of objects in the images before it.
    """
    chosen = judged[judged["thing"] != NONE]
    near = np.empty(len(chosen), _NEAR)
    near["score"], near["error"] = chosen["score"], chosen["error"]
    near["thing"] = before + chosen["thing"].astype(np.int64)
    return near


def _costs(
    detections: Sequence[_Detections],
    near: NDArray[np.void],
    unfound: NDArray[np.int32],
    objects: Floats,
) -> dict[ErrorType, ErrorCost]:
    """Mend one kind of mistake after the other.

    Of the detections near to an object that nothing found, the best finds it, with its class; the
    others go, as do those that are near to none.

    Args:
        detections: Those of each class, [C].
        near: Those that should have found an object.
        unfound: Class of each object that nothing found, of all images; ``NONE`` of the others.
        objects: Number of objects of each class, [C].
    """
    now = _mean_precision(detections, objects)
    near = near[unfound[near["thing"]] != NONE]
    near = near[np.argsort(-near["score"], kind="stable")]
    costs = {}
    for error, kind in enumerate(ERROR_TYPES[:-1]):
        count = sum(int(np.count_nonzero(item.errors == error)) for item in detections)
        own = near[near["error"] == error]
        best = own[np.sort(np.unique(own["thing"], return_index=True)[1])]
        labels = unfound[best["thing"]]
        found = {label: best["score"][labels == label] for label in np.unique(labels).tolist()}
        mended = _mean_precision(detections, objects, error, found)
        costs[kind] = ErrorCost(count, mended - now)
    missed = unfound.copy()
    missed[near["thing"]] = NONE
    missed = missed[missed != NONE]
    found_only = objects - np.bincount(missed, minlength=len(objects))
    costs["missed"] = ErrorCost(len(missed), _mean_precision(detections, found_only) - now)
    return costs


def _mean_precision(
    detections: Sequence[_Detections],
    objects: Floats,
    without: int = NONE,
    found: Mapping[int, NDArray[np.float32]] | None = None,
) -> float:
    """Return the mean over the classes with objects of the average precision at IoU 0.5.

    Args:
        detections: Those of each class, [C].
        objects: Number of objects of each class, [C].
        without: A kind of mistake; the detections with it do not count.
        found: By class, the scores of detections that count as right in their place.
    """
    precisions = []
    for label in np.flatnonzero(objects).tolist():
        scores, errors = detections[label].scores, detections[label].errors
        if without != NONE:
            kept = errors != without
            added = (found or {}).get(label, scores[:0])
            scores = np.concatenate([scores[kept], added])
            errors = np.concatenate([errors[kept], np.full(len(added), NONE, np.int8)])
        ordered = errors[np.argsort(-scores, kind="stable")]
        right = np.flatnonzero(ordered == NONE)
        counts, told = np.arange(1.0, len(right) + 1), (right + 1).astype(np.float64)
        curve = interpolated(counts, told, float(objects[label]))
        precisions.append(float(curve.mean()) if len(right) else 0.0)
    return float(np.mean(precisions)) if precisions else 0.0


def judge(image: ImageObjects) -> tuple[Judged, Bools]:
    """Return the detections that count, with their mistakes, and which objects were found.

    Args:
        image: The objects and detections.

    Returns:
        Detections, ``JUDGED`` [D], and a flag for each object, bool [G].
    """
    hits, partners = _partners(image)
    found = np.zeros(len(image.labels), np.bool_)
    found[partners[hits]] = True
    judged = np.empty(len(hits), JUDGED)
    judged["index"] = np.arange(len(hits))
    judged["label"], judged["score"] = image.found_labels, image.scores
    judged["error"], judged["thing"] = NONE, NONE
    judged["error"][~hits], judged["thing"][~hits] = _mistakes(image, ~hits)
    in_crowd = hits.copy()
    in_crowd[hits] = image.crowd[partners[hits]]
    return judged[~in_crowd], found


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


def _mistakes(image: ImageObjects, wrong: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return wrong detections' mistakes, [W], and the objects that they should have found."""
    overlaps = np.where(image.crowd, 0.0, image.overlaps[wrong])
    if not overlaps.size:
        return np.full(len(overlaps), _ON_BACKGROUND), np.full(len(overlaps), NONE)
    is_same = image.labels == image.found_labels[wrong, None]
    same, other = np.where(is_same, overlaps, 0.0), np.where(is_same, 0.0, overlaps)
    nearest = same.max(axis=1)
    cases = [
        overlaps.max(axis=1) < _BACKGROUND,
        (nearest >= _BACKGROUND) & (nearest < _RIGHT),
        other.max(axis=1) >= _RIGHT,
        nearest >= _RIGHT,
    ]
    errors = np.select(cases, [_ON_BACKGROUND, _BOX, _CLASS, _DUPLICATE], _BOTH)
    things = np.select(
        [errors == _BOX, errors == _CLASS], [same.argmax(axis=1), other.argmax(axis=1)], NONE
    )
    return errors, things
