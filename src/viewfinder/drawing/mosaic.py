"""Small pictures: brought to a size, and laid side by side."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def scale(picture: NDArray[np.generic], side: int) -> NDArray[np.generic]:
    """Bring the longer side of a picture [H, W, ...] to about ``side`` pixels.

    It grows by a whole factor, so that each pixel stays a square, or shrinks by averaging.
    """
    height, width = picture.shape[:2]
    longest = max(height, width)
    if longest <= side:
        factor = max(1, side // longest)
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    return np.asarray(cv2.resize(np.asarray(picture), size, interpolation=cv2.INTER_AREA))


def fit_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the drawn height and width of an image whose longer side shall be about ``side``.

    Small images grow by whole factors, at least to ``side``, so that each pixel stays a square.
    """
    longest = max(height, width)
    if longest <= side:
        factor = math.ceil(side / longest)
        return height * factor, width * factor
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def mosaic(
    tiles: NDArray[np.uint8], *, columns: int, gap: int = 2, background: int = 255
) -> NDArray[np.uint8]:
    """Lay tiles [N, h, w, 3] row by row onto one picture, uint8 [H, W, 3]."""
    count, height, width = tiles.shape[:3]
    rows = math.ceil(count / columns)
    picture = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 3), background, np.uint8
    )
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture


def grid_columns(count: int, height: int, width: int) -> int:
    """Return how many columns make a grid of tiles about 1.5 times as wide as high."""
    return min(count, max(1, math.ceil(math.sqrt(1.5 * count * height / width))))
