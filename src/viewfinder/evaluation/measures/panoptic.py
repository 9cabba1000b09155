"""Panoptic quality of instances: each pixel belongs to one object at most.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollar, "Panoptic Segmentation", CVPR 2019. The
details are those of its reference implementation, https://github.com/cocodataset/panopticapi:
objects match above an IoU of 0.5; detections that lie mostly under surer ones are left out; what is
found mostly in a crowd does not count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Weights

QUALITIES = ("panoptic_quality", "segmentation_quality", "recognition_quality")

_MATCH = 0.5
_LEAST_VISIBLE = 0.5
_MOST_IN_CROWD = 0.5

Masks = NDArray[np.uint8]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class ImageMasks:
    """The objects of one image and the detections that are told, by their masks.

    Attributes:
        labels: Class of each object, int64 [G].
        crowd: Whether it is a crowd, bool [G].
        masks: Its pixels, uint8 of zeros and ones [G, H, W].
        found_labels: Class of each detection, int64 [D].
        scores: Its score, [D].
        found_masks: Its pixels, [D, H, W].
    """

    labels: Ids
    crowd: NDArray[np.bool_]
    masks: Masks
    found_labels: Ids
    scores: NDArray[np.float64]
    found_masks: Masks


class PanopticQuality:
    """Panoptic, segmentation and recognition quality.

    Args:
        images: The masks of each image.
        classes: Class names.
    """

    reasons: Mapping[str, str] = {
        "panoptic_quality": "no object in any image, nor any detection",
        "segmentation_quality": "no object in any image, nor any detection",
        "recognition_quality": "no object in any image, nor any detection",
    }

    def __init__(self, images: Iterable[ImageMasks], classes: Sequence[str]) -> None:
        counts = [panoptic_counts(image, len(classes)) for image in images]
        self.images = len(counts)
        self._counts = np.stack(counts)

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return the means over the classes that have objects or detections."""
        by_class = qualities(np.tensordot(weights, self._counts, axes=1))
        shown = by_class[~np.isnan(by_class).any(axis=1)]
        means = shown.mean(axis=0) if len(shown) else np.full(len(QUALITIES), np.nan)
        return {name: float(mean) for name, mean in zip(QUALITIES, means, strict=True)}

    def by_class(self) -> NDArray[np.float64]:
        """Return the three qualities of each class, [C, 3]; not a number where it is not shown."""
        return qualities(self._counts.sum(axis=0))


def qualities(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return panoptic, segmentation and recognition quality of each class, [C, 3].

    Args:
        counts: Sums of what ``panoptic_counts`` returns, [C, 4].
    """
    overlap, right, wrong, missed = counts.T
    sizes = right + (wrong + missed) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        segmentation = np.where(right > 0, overlap / right, 0.0)
        found = np.stack([overlap / sizes, segmentation, right / sizes], axis=1)
    found[sizes == 0] = np.nan
    return found


def panoptic_counts(image: ImageMasks, classes: int) -> NDArray[np.float64]:
    """Return what the qualities of each class are made of.

    Args:
        image: The masks of an image.
        classes: Number of classes, C.

    Returns:
        The sum of the IoU of the matches, the matches, the wrong detections, and the objects
        missed, [C, 4].
    """
    # Of objects that overlap the smaller one mostly lies in front.
    counted = np.flatnonzero(~image.crowd)
    sizes = image.masks[counted].sum(axis=(1, 2), dtype=np.int64)
    true = _painted(image.masks, counted[np.argsort(sizes, kind="stable")], least=0.0)
    order = np.argsort(-image.scores, kind="stable")
    found = _painted(image.found_masks, order, least=_LEAST_VISIBLE)
    overlaps = _overlaps(true, found, len(image.labels), len(image.scores))
    shown, detected = np.unique(true[true >= 0]), np.unique(found[found >= 0])
    same = image.labels[shown][:, None] == image.found_labels[detected][None]
    near = overlaps[np.ix_(shown, detected)] * same
    matches = np.argwhere(near > _MATCH)
    crowded = _crowded(image, found, detected)
    crowded[matches[:, 1]] = True
    counts = np.zeros((classes, 4))
    for row, column in matches:
        counts[image.labels[shown[row]], :2] += near[row, column], 1
    np.add.at(counts[:, 2], image.found_labels[detected[~crowded]], 1)
    free = np.delete(shown, matches[:, 0])
    np.add.at(counts[:, 3], image.labels[free], 1)
    return counts


def _painted(masks: Masks, order: Ids, *, least: float) -> Ids:
    """Give each pixel to the first mask that holds it.

    Args:
        masks: Zeros and ones, [N, H, W].
        order: The masks to take, the first one foremost.
        least: A mask of which less than this share is left is not painted.

    Returns:
        Number of the mask of each pixel, int64 [H, W]; -1 for none.
    """
    canvas = np.full(masks.shape[1:], -1, np.int64)
    for number in order:
        mask = masks[number].astype(bool)
        left = mask & (canvas < 0)
        if left.any() and left.sum() >= least * mask.sum():
            canvas[left] = number
    return canvas


def _overlaps(true: Ids, found: Ids, objects: int, detections: int) -> NDArray[np.float64]:
    """Return the IoU of painted objects and detections, [G, D]."""
    pairs = (true.ravel() + 1) * (detections + 1) + found.ravel() + 1
    table = np.bincount(pairs, minlength=(objects + 1) * (detections + 1))
    table = table.reshape(objects + 1, detections + 1).astype(np.float64)
    sizes, found_sizes = table.sum(axis=1)[1:, None], table.sum(axis=0)[None, 1:]
    common = table[1:, 1:]
    return common / np.maximum(sizes + found_sizes - common, 1)


def _crowded(image: ImageMasks, found: Ids, detected: Ids) -> NDArray[np.bool_]:
    """Return which painted detections lie mostly in a crowd of their class, bool [D]."""
    crowded = np.zeros(len(detected), np.bool_)
    for place, number in enumerate(detected):
        crowds = image.masks[image.crowd & (image.labels == image.found_labels[number])]
        if len(crowds):
            inside = crowds.any(axis=0)[found == number]
            crowded[place] = inside.mean() > _MOST_IN_CROWD
    return crowded
