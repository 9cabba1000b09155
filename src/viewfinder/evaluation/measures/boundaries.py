"""How well the outlines of classes are met.

The boundary F-score of G. Csurka, D. Larlus, F. Perronnin, "What is a good evaluation measure for
semantic segmentation?", BMVC 2013: precision is the share of the predicted outline that lies near
the true one, recall the share of the true outline that lies near the predicted one. Near is within
0.75 % of the image's diagonal. Counts are added over all images.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE

_NEAR = 0.0075


def near_disk(height: int, width: int) -> NDArray[np.uint8]:
    """Return the disk around a pixel that is near to it in an image, 0 or 1, uint8 [D, D]."""
    radius = max(1, round(_NEAR * float(np.hypot(height, width))))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(disk, np.uint8)


def boundary_counts(
    true: NDArray[np.uint8], found: NDArray[np.uint8], count: int
) -> NDArray[np.int64]:
    """Return what the boundary F-score of each class is made of.

    Args:
        true: Class of each pixel, uint8 [H, W]; 255 does not count.
        found: Predicted class of each pixel, uint8 [H, W].
        count: Number of classes, C.

    Returns:
        Pixels of the predicted outline near the true one, pixels of the predicted outline, pixels
        of the true outline near the predicted one, pixels of the true outline: int64 [C, 4].
    """
    disk = near_disk(*true.shape)
    found = np.where(true == IGNORE, IGNORE, found).astype(np.uint8)
    counts = np.zeros((count, 4), np.int64)
    for label in np.union1d(true, found):
        if label == IGNORE:
            continue
        true_line, found_line = _outline(true == label), _outline(found == label)
        counts[label] = (
            (found_line & cv2.dilate(true_line, disk)).sum(),
            found_line.sum(),
            (true_line & cv2.dilate(found_line, disk)).sum(),
            true_line.sum(),
        )
    return counts


def boundary_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the F-score of each class, [C]; not a number where it has no outline at all.

    Args:
        counts: Sums of what ``boundary_counts`` returns, [C, 4].
    """
    near_true, found, near_found, true = counts.T
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(found > 0, near_true / found, 0.0)
        recall = np.where(true > 0, near_found / true, 0.0)
        both = precision + recall
        score = np.where(both > 0, 2 * precision * recall / both, 0.0)
    return np.where(found + true > 0, score, np.nan)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the pixels of a mask that touch another; the image's border is no outline."""
    solid = mask.astype(np.uint8)
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return solid - np.asarray(inner, np.uint8)
