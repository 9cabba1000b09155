"""Augmentations of whole batches at once, for images so small that single calls cost more.

They act on the model's input after the resize. What an image meets is drawn from the seed, its
epoch and its row, as with single images, whatever batch it is in.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import ViewfinderError

Images = NDArray[np.uint8]
_BORDERS = ("constant", "reflect")


@runtime_checkable
class BatchAugmentation(Protocol):
    """Changes a batch of images whose annotations do not depend on places.

    Attributes:
        draws: Random numbers that an image takes.
    """

    draws: ClassVar[int]

    def on_batch(self, images: Images, uniform: NDArray[np.float64]) -> None:
        """Augment images in place.

        Args:
            images: uint8 [B, H, W, 3].
            uniform: Random numbers in [0, 1), float64 [B, draws].
        """


@dataclass(frozen=True)
class Flip:
    """Mirrors images left to right.

    Attributes:
        p: How often.
    """

    draws: ClassVar[int] = 1
    p: float = 0.5

    def on_batch(self, images: Images, uniform: NDArray[np.float64]) -> None:
        # OpenCV mirrors pixels of three bytes thirty times faster than a reversed view is copied.
        for number in np.flatnonzero(uniform[:, 0] < self.p):
            images[number] = cv2.flip(images[number], 1)


@dataclass(frozen=True)
class Shift:
    """Pads images and crops them to their size again at a random place.

    Attributes:
        padding: Pixels added on each side, the furthest an image can be shifted.
        border: What the added pixels show: black, or the image mirrored.
    """

    draws: ClassVar[int] = 2
    padding: int = 4
    border: Literal["constant", "reflect"] = "constant"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ViewfinderError: If the border is none of those that are known.
        """
        if self.border not in _BORDERS or self.padding < 1:
            raise ViewfinderError(
                f"The augmentation Shift has padding {self.padding!r} and border "
                f"{self.border!r}; expected 1 or more, and {' or '.join(_BORDERS)}."
            )

    def on_batch(self, images: Images, uniform: NDArray[np.float64]) -> None:
        height, width = images.shape[1:3]
        around = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), around, around, (0, 0)), mode=self.border)
        corners = (uniform * (2 * self.padding + 1)).astype(int).tolist()
        for image, larger, (top, left) in zip(images, padded, corners, strict=True):
            image[:] = larger[top : top + height, left : left + width]


def uniform(
    seed: int, stream: int, epochs: NDArray[np.int64], rows: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Draw numbers that depend on their arguments alone, for many images at once.

    A generator for each image would cost more than the augmentation. The numbers are those of
    SplitMix64 (G. Steele, D. Lea, C. Flood: "Fast Splittable Pseudorandom Number Generators",
    OOPSLA 2014), its state mixed from the arguments one after the other.

    Args:
        seed: Seed of the training.
        stream: Tells augmentations apart.
        epochs: Epoch of each image, int64 [B].
        rows: Row of each image, int64 [B].
        count: Numbers an image.

    Returns:
        Numbers in [0, 1), float64 [B, count].
    """
    seeds, streams = (np.full(len(rows), number, np.uint64) for number in (seed, stream))
    state = _mixed(seeds + streams * _GOLDEN)
    for part in (epochs, rows):
        state = _mixed(state + (part.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    high_bits = _mixed(state[:, None] + steps) >> np.uint64(11)
    return high_bits.astype(np.float64) * 2.0**-53


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
