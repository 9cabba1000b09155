"""One decoded image with its annotations, as numpy arrays."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_AS_THE_IMAGE = (0, 0)


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
        boxes: Left, top, right, bottom in pixels of the frame, float32 [N, 4].
        labels: Class of each box, int64 [N].
        crowd: Which boxes hold a crowd instead of one object, bool [N]; None for none of them.
        mask: Class index of each pixel, 255 where it does not count, uint8 [H, W] of the frame.
        instances: One mask a box, uint8 [N, H, W] of the frame, values 0 and 1.
        frame: Height and width that boxes and masks refer to, pixels. They are the image's own,
            but where it was decoded at a reduced scale or is kept at the model's input size.
    """

    image: NDArray[np.uint8]
    label: int | None = None
    boxes: NDArray[np.float32] = field(default_factory=_no_boxes)
    labels: NDArray[np.int64] = field(default_factory=_no_labels)
    crowd: NDArray[np.bool_] | None = None
    mask: NDArray[np.uint8] | None = None
    instances: NDArray[np.uint8] | None = None
    frame: tuple[int, int] = _AS_THE_IMAGE

    def __post_init__(self) -> None:
        """Take the image's own frame if there is no other."""
        if self.frame == _AS_THE_IMAGE:
            self.frame = (self.image.shape[0], self.image.shape[1])
