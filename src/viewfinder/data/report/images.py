"""Sizes and colours of a data set's images."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.scan import Scan

_MOST_SIZES = 200


def describe_sizes(records: Sequence[Record]) -> dict[str, Any]:
    """Count the images' sizes, pixels.

    Returns:
        The number of different sizes, the smallest, median and largest width and height, and the
        most frequent sizes.
    """
    counts = Counter(record.size for record in records if record.size is not None)
    sides = np.array(list(counts.elements()), np.int64)
    return {
        "distinct": len(counts),
        "width": _spread(sides[:, 0]),
        "height": _spread(sides[:, 1]),
        "most_frequent": [
            {"width": width, "height": height, "images": images}
            for (width, height), images in counts.most_common(_MOST_SIZES)
        ],
    }


def describe_pixels(scan: Scan, records: Sequence[Record]) -> dict[str, Any]:
    """Return mean and standard deviation of red, green and blue over all pixels of some images.

    Args:
        scan: What was seen in all images.
        records: The images that count, usually those for training.

    Returns:
        Values on the scale from 0 to 1, one of each colour.
    """
    chosen = {record.id for record in records}
    rows = np.array([record.id in chosen for record in scan.records])
    sizes = np.array([record.size or (0, 0) for record in scan.records], np.float64)
    weights = sizes.prod(axis=1)[rows]
    mean = np.average(scan.means[rows], axis=0, weights=weights)
    square = np.average(scan.squares[rows], axis=0, weights=weights)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return {"mean": mean.round(4).tolist(), "std": deviation.round(4).tolist()}


def _spread(values: NDArray[np.int64]) -> dict[str, int]:
    return {
        "min": int(values.min()),
        "median": int(np.median(values)),
        "max": int(values.max()),
    }
