"""Which detections find an object, as COCO decides it.

The rules are those of ``COCOeval.evaluateImg`` (T.-Y. Lin et al., "Microsoft COCO: Common Objects
in Context", ECCV 2014, https://github.com/cocodataset/cocoapi): detections choose in the order of
their scores; each takes the object of its class with the largest overlap that is left; objects that
do not count, crowds among them, are taken only where no other fits, and then the detection does not
count either.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
IOU_50, IOU_75 = 0, 5  # places among them
GOOD_IOU = 0.5  # from which on a box or mask counts as right where one answer is wanted
EVERY_SIZE = (0.0, 1e10)
_MOST = 100
_NOTHING = -1.0
_ALMOST_ONE = 1 - 1e-10

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ImageObjects:
    """The objects and detections of one image.

    Attributes:
        labels: Class of each object, int64 [G].
        crowd: Whether it is a crowd, bool [G].
        areas: Its area in square pixels, [G].
        found_labels: Class of each detection, int64 [D].
        scores: Its score, [D].
        found_areas: Its area in square pixels, [D].
        overlaps: IoU of each detection with each object, or the share of the detection that lies
            in a crowd, [D, G].
    """

    labels: NDArray[np.int64]
    crowd: Bools
    areas: Floats
    found_labels: NDArray[np.int64]
    scores: Floats
    found_areas: Floats
    overlaps: Floats


@dataclass(frozen=True)
class ImageMatches:
    """What became of one image's detections of one class.

    Attributes:
        scores: Of each detection, best first, [D].
        hits: Whether it found an object, at each threshold of the overlap, bool [T, D].
        ignored: Whether it does not count, bool [T, D].
        objects: Number of objects that count.
    """

    scores: Floats
    hits: Bools
    ignored: Bools
    objects: int


def overlaps(found: Any, true: Any, crowd: Bools) -> Floats:
    """Return the IoU of detections with objects, or the share of each in a crowd, [D, G].

    Args:
        found: Boxes as left, top, width and height, float64 [D, 4], or masks as COCO's run lengths.
        true: The objects, in the same way, [G].
        crowd: Whether each object is a crowd, bool [G].
    """
    if not len(found) or not len(true):
        return np.zeros((len(found), len(true)))
    return np.asarray(coco_mask.iou(found, true, crowd.astype(np.uint8)))


def corner_and_size(boxes: Any) -> Floats:
    """Turn left, top, right and bottom, [N, 4], to left, top, width and height."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def match(image: ImageObjects, label: int, areas: tuple[float, float]) -> ImageMatches:
    """Match an image's detections of one class to its objects.

    Args:
        image: The objects and detections.
        label: The class.
        areas: The least and the largest area of the objects that count, square pixels.
    """
    objects, found = (
        np.flatnonzero(labels == label) for labels in (image.labels, image.found_labels)
    )
    outside = image.crowd | (image.areas < areas[0]) | (image.areas > areas[1])
    objects = objects[np.argsort(outside[objects], kind="stable")]
    found = found[np.argsort(-image.scores[found], kind="stable")][:_MOST]
    counted = int((~outside[objects]).sum())
    chosen = choose(image.overlaps[np.ix_(found, objects)], image.crowd[objects], counted=counted)
    hits, ignored = chosen >= 0, chosen >= counted
    own = image.found_areas[found]
    ignored |= ~hits & ((own < areas[0]) | (own > areas[1]))
    return ImageMatches(image.scores[found], hits, ignored, counted)


def choose(overlaps: Floats, crowd: Bools, *, counted: int) -> NDArray[np.int64]:
    """Let each detection choose an object.

    Args:
        overlaps: Of each detection, best score first, with each object of its class, [D, G].
        crowd: Whether each object is a crowd, which several detections may choose, bool [G].
        counted: How many objects count; they come first.

    Returns:
        Number of the object that each detection found, at each threshold of the overlap, int64
        [T, D]; -1 for none.
    """
    least = np.minimum(THRESHOLDS, _ALMOST_ONE)[:, None]
    chosen = np.full((len(THRESHOLDS), len(overlaps)), -1, np.int64)
    free = np.ones((len(THRESHOLDS), overlaps.shape[1]), np.bool_)
    for number in np.flatnonzero((overlaps >= THRESHOLDS[0]).any(axis=1)):
        fitting = np.where(free & (overlaps[number] >= least), overlaps[number], _NOTHING)
        first, first_value = _last_best(fitting[:, :counted])
        other, other_value = _last_best(fitting[:, counted:])
        taken = np.where(first_value >= 0, first, counted + other)
        levels = np.flatnonzero((first_value >= 0) | (other_value >= 0))
        chosen[levels, number] = taken[levels]
        free[levels, taken[levels]] = crowd[taken[levels]]
    return chosen


def _last_best(values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return the place and value of each row's largest value, the last of equal ones."""
    if not values.shape[1]:
        return np.zeros(len(values), np.int64), np.full(len(values), _NOTHING)
    places = values.shape[1] - 1 - values[:, ::-1].argmax(axis=1)
    return places, values[np.arange(len(values)), places]
