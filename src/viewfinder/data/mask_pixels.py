"""The pixels of mask files, as numbers."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.unreadable import unreadable
from viewfinder.errors import ViewfinderError

_INDEX_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16L", "I;16B"})

_COUNTABLE = 2**16


def decode_indices(content: bytes, name: str) -> NDArray[np.int64]:
    """Decode a mask whose pixels are numbers, int64 [H, W]; of a palette image, its indices.

    Args:
        content: The encoded image.
        name: What to call it in a message.

    Raises:
        ViewfinderError: If it is no image, or has colours.
    """
    image = _open(content, name)
    if image.mode not in _INDEX_MODES:
        raise ViewfinderError(
            f"{name} has colours (mode {image.mode}); expected one number a pixel, grey or with a "
            "palette. Convert the masks."
        )
    return np.asarray(image).astype(np.int64)


def decode_binary(content: bytes, name: str) -> NDArray[np.bool_]:
    """Decode a mask of one object to bool [H, W]: true where it is brighter than half.

    Args:
        content: The encoded image, black but for the object, of any mode.
        name: What to call it in a message.

    Raises:
        ViewfinderError: If it is no image.
    """
    image = _open(content, name)
    grey = image if image.mode in _INDEX_MODES - {"P"} else image.convert("L")
    values = np.asarray(grey).astype(np.int64)
    return np.asarray(2 * values > values.max())


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Return the whole numbers that there are, sorted; counting them is faster than sorting all."""
    if values.min() >= 0 and values.max() < _COUNTABLE:
        return np.flatnonzero(np.bincount(values.ravel()))
    return np.unique(values)


def _open(content: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ViewfinderError(f"{name} {unreadable(content, error)}. Repair the file.") from error
    return image
