"""Pixels of each class in semantic masks."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE
from viewfinder.data.splits.pixels import decode

_VALUES = 256


def count_pixels(masks: Iterable[bytes | None]) -> NDArray[np.int64]:
    """Count the pixels of each value.

    Args:
        masks: Encoded masks of class indices, 255 = ignore; None for an image without one.

    Returns:
        Counts, int64 [N, 256].
    """
    counts = [
        np.bincount(decode(mask).ravel() if mask else [], minlength=_VALUES) for mask in masks
    ]
    return np.array(counts, np.int64).reshape(-1, _VALUES)


def describe_masks(counts: NDArray[np.int64], classes: list[str]) -> dict[str, object]:
    """Return the share of all pixels that each class has, and of those to be ignored."""
    total = counts.sum()
    shares = (counts.sum(axis=0) / max(total, 1)).round(5)
    return {
        "share_by_class": {name: float(shares[index]) for index, name in enumerate(classes)},
        "share_ignored": float(shares[IGNORE]),
    }
