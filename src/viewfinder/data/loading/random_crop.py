"""Random crops that are chosen before their images are decoded.

A photo larger than its crop needs is then decoded at a smaller scale, which takes less time, and
the crop goes straight into its batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import ViewfinderError

_TRIES = 10


class Part(NamedTuple):
    """A part of an image, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
        """Return the part, a view, of the image as it was decoded at a reduced scale."""
        top, left = self.top // reduction, self.left // reduction
        bottom, right = top + self.height // reduction, left + self.width // reduction
        return image[top:bottom, left:right]


@dataclass(frozen=True)
class RandomResizedCrop:
    """Takes a part of random area, ratio and place for the whole image.

    As in C. Szegedy et al.: "Going Deeper with Convolutions", CVPR 2015, section 6. Ten pairs of
    area and ratio are drawn; of the first that fits into the image comes the part, or else it is
    the largest one whose ratio is allowed.

    It stands before all other augmentations, and serves classes of whole images: what has a place,
    as boxes and masks have, does not follow.

    Attributes:
        scale: Least and largest area, as a share of the image's.
        ratio: Least and largest ratio of width to height.
    """

    draws: ClassVar[int] = 2 * _TRIES + 2
    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ViewfinderError: If a range is none, or a scale none of an image.
        """
        if not (_is_range(self.scale, most=1) and _is_range(self.ratio, most=math.inf)):
            raise ViewfinderError(
                f"The augmentation RandomResizedCrop has scale {self.scale!r} and ratio "
                f"{self.ratio!r}; expected two numbers each, above 0 and the lesser one first, and "
                "no scale above 1."
            )

    def parts(self, frames: NDArray[np.int64], uniform: NDArray[np.float64]) -> list[Part]:
        """Choose a part of each image.

        Args:
            frames: Heights and widths, pixels, int64 [B, 2].
            uniform: Random numbers in [0, 1), float64 [B, draws].
        """
        areas, ratios, places = np.split(uniform, [_TRIES, 2 * _TRIES], axis=1)
        pixels = _between(self.scale, areas) * frames.prod(axis=1, keepdims=True)
        ratios = np.exp(_between([math.log(ratio) for ratio in self.ratio], ratios))
        tried = np.rint(np.sqrt(np.stack([pixels / ratios, pixels * ratios], axis=2)))
        fits = ((tried >= 1) & (tried <= frames[:, None])).all(axis=2)
        first = tried[np.arange(len(frames)), fits.argmax(axis=1)]
        sizes = np.where(fits.any(axis=1, keepdims=True), first, self._largest(frames))
        sizes = sizes.astype(np.int64)
        corners = (places * (frames - sizes + 1)).astype(np.int64)
        return [Part(*numbers) for numbers in np.hstack([corners, sizes]).tolist()]

    def smallest(self, height: int, width: int) -> tuple[int, int]:
        """Return the least height and width of a part; very long images are cut to the ratio."""
        pixels = self.scale[0] * height * width
        largest_height, largest_width = self._largest(np.array([[height, width]]))[0].tolist()
        return (
            int(min(largest_height, (pixels / self.ratio[1]) ** 0.5)),
            int(min(largest_width, (pixels * self.ratio[0]) ** 0.5)),
        )

    def _largest(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the largest size of an allowed ratio in each image, int64 [B, 2]."""
        heights, widths = frames.T
        least, most = self.ratio
        sizes = [np.minimum(heights, widths / least), np.minimum(widths, heights * most)]
        return np.maximum(np.stack(sizes, axis=1).astype(np.int64), 1)


def _is_range(values: object, most: float) -> bool:
    if not isinstance(values, Sequence) or len(values) != 2:
        return False
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return False
    return bool(0 < values[0] <= values[1] <= most)


def _between(limits: Sequence[float], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    return limits[0] + (limits[1] - limits[0]) * uniform
