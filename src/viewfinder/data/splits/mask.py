"""Semantic masks: an author's pixel values to class indices."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.archive import Archive
from viewfinder.data.mask_pixels import decode_indices, distinct
from viewfinder.data.readers.record import MaskFile
from viewfinder.data.schema import IGNORE
from viewfinder.errors import ViewfinderError


def encode_mask(
    mask: MaskFile, archive: Archive, classes: Sequence[str], size: tuple[int, int]
) -> bytes:
    """Return a mask as a grey PNG of class indices, 255 where a pixel does not count.

    Args:
        mask: The authors' file, and what its pixel values mean.
        archive: Where the file lies.
        classes: Class names.
        size: Width and height of the image, pixels.

    Raises:
        ViewfinderError: If the mask can't be read, is not as large as its image, or has a pixel
            value that stands for no class.
    """
    name = f"{archive.path}: the mask {mask.path!r}"
    indices = class_indices(mask.read(archive), mask.values, classes, size, name)
    buffer = io.BytesIO()
    Image.fromarray(indices).save(buffer, "PNG")
    return buffer.getvalue()


def class_indices(
    content: bytes,
    meaning: Mapping[int, int] | None,
    classes: Sequence[str],
    size: tuple[int, int],
    name: str,
) -> NDArray[np.uint8]:
    """Return a mask's class indices, uint8 [H, W], 255 where a pixel does not count.

    Args:
        content: The encoded mask.
        meaning: Class index of each pixel value; None takes the values as they are.
        classes: Class names.
        size: Width and height of the image, pixels.
        name: What to call the mask in a message.

    Raises:
        ViewfinderError: If the mask can't be read, is not as large as its image, or has a pixel
            value that stands for no class.
    """
    values = decode_indices(content, name)
    height, width = values.shape
    if (width, height) != size:
        raise ViewfinderError(
            f"{name} is {width} x {height} pixels, but its image is {size[0]} x {size[1]}. "
            "Expected the same size: correct one of the two."
        )
    return _to_classes(values, meaning, classes, name)


def _to_classes(
    values: NDArray[np.int64],
    meaning: Mapping[int, int] | None,
    classes: Sequence[str],
    name: str,
) -> NDArray[np.uint8]:
    found = distinct(values)
    indices = [int(value) if meaning is None else meaning.get(int(value)) for value in found]
    unknown = [
        int(value)
        for value, index in zip(found, indices, strict=True)
        if index is None or not (0 <= index < len(classes) or index == IGNORE)
    ]
    if unknown:
        expected = f"0 to {len(classes) - 1}" if meaning is None else sorted(meaning)
        raise ViewfinderError(
            f"{name} has the pixel values {unknown}; expected {expected} for the "
            f"{len(classes)} classes, or {IGNORE} for pixels to ignore. Correct the mask, or give "
            "the reader in conf/dataset/ the meaning of these values."
        )
    return np.array(indices, np.uint8)[np.searchsorted(found, values)]
