"""One decoded image with its annotations, as numpy arrays."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import ViewfinderError


def _no_boxes() -> NDArray[np.float32]:
    return np.zeros((0, 4), np.float32)


def _no_labels() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass
class Sample:
    """One decoded image with whatever annotations its task asks for.

    Attributes:
        image: RGB, uint8 [H, W, 3], or grey, uint8 [H, W, 1].
        label: Class of the whole image.
        boxes: Left, top, right, bottom in pixels, float32 [N, 4].
        labels: Class of each box, int64 [N].
        crowd: Which boxes hold a crowd instead of one object, bool [N]; None for none of them.
        mask: Class index of each pixel, 255 where it does not count, uint8 [H, W].
        instances: One mask a box, uint8 [N, H, W], values 0 and 1.
    """

    image: NDArray[np.uint8]
    label: int | None = None
    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    labels: NDArray[np.int64] = field(default_factory=_no_labels)
    crowd: NDArray[np.bool_] | None = None
    mask: NDArray[np.uint8] | None = None
    instances: NDArray[np.uint8] | None = None


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode an image file to RGB, uint8 [H, W, 3], turned as its EXIF data say.

    Raises:
        ViewfinderError: If the bytes are no image that can be decoded.
    """
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ViewfinderError(
            f"The image {name!r} ({len(content)} bytes) can't be decoded. "
            "Repair it or take it out of the data set's archive, then run `dvc repro`."
        )
    return np.asarray(image, np.uint8)


def decode_mask(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a mask of a split file to class indices, uint8 [H, W].

    Raises:
        ViewfinderError: If the bytes are no image that can be decoded.
    """
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise ViewfinderError(
            f"The mask {name!r} ({len(content)} bytes) can't be decoded. "
            "Run the split stage again: `dvc repro`."
        )
    return np.asarray(mask, np.uint8)
