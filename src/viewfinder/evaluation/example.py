"""One image with what is true of it and what was predicted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def _no_boxes() -> NDArray[np.float32]:
    return np.zeros((0, 4), np.float32)


def _no_labels() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _no_scores() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Marks:
    """What is said of an image, by its annotation or by a network.

    Attributes:
        boxes: Left, top, right, bottom in pixels, float32 [N, 4].
        labels: Class of each box, int64 [N].
        scores: Confidence in each box, float32 [N]; empty for annotations.
        mask: Class of each pixel, 255 where it does not count, uint8 [H, W].
        outlines: The closed lines around each object, each float32 [M, 2] as x and y in pixels;
            None where objects have boxes only.
    """

    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    labels: NDArray[np.int64] = field(default_factory=_no_labels)
    scores: NDArray[np.float32] = field(default_factory=_no_scores)
    mask: NDArray[np.uint8] | None = None
    outlines: list[list[NDArray[np.float32]]] | None = None


@dataclass(frozen=True)
class Example:
    """One image with what is true of it and what was predicted.

    Attributes:
        id: Name of the image.
        image: RGB, uint8 [H, W, 3].
        truth: What is true of it.
        predicted: What was predicted.
        caption: A few words on how well they agree.
        quality: Orders examples of one task from worst (smallest) to best.
        right: Whether the prediction counts as right, None where that is no yes-or-no question.
    """

    id: str
    image: NDArray[np.uint8]
    truth: Marks
    predicted: Marks
    caption: str
    quality: float
    right: bool | None = None


def rgb_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return an image [1 or 3, H, W] as RGB, uint8 [H, W, 3]."""
    return image.expand(3, -1, -1).permute(1, 2, 0).numpy()
