"""What the pictures share: figures measured in pixels, and mosaics of tiles."""

import math
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, FAINT = "#222222", "#777777"
MARGIN, HEADER = 24, 66

_DPI = 100


class Canvas:
    """A figure on which things are placed in pixels from the upper left.

    Args:
        height: Of the figure, pixels.
        width: Of the figure, pixels.
        heading: Its title.
        key: A line below the title that says how to read it.
    """

    def __init__(self, height: int, width: int, *, heading: str, key: str = "") -> None:
        self.height, self.width = height, width
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self.write(MARGIN, 14, heading, points=14)
        self.write(MARGIN, 40, key, points=9, colour=FAINT)

    def axes(self, left: float, top: float, height: float, width: float) -> Axes:
        """Return axes without a frame at a place."""
        place = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        return axes

    def show(self, picture: NDArray[np.uint8], left: float, top: float) -> None:
        """Show a picture, uint8 [H, W, 3], pixel by pixel."""
        height, width = picture.shape[:2]
        axes = self.axes(left, top, height, width)
        axes.imshow(picture, interpolation="nearest", aspect="auto")

    def write(
        self, left: float, top: float, text: str, *, points: float = 9, colour: str = INK
    ) -> None:
        """Write a line whose upper left corner is at a place."""
        self.figure.text(
            left / self.width,
            1 - top / self.height,
            text,
            fontsize=points,
            color=colour,
            va="top",
            parse_math=False,
        )

    def colour_bar(
        self,
        colours: Colormap,
        low: str,
        high: str,
        *,
        left: float,
        top: float,
        label: str = "",
        length: int = 180,
    ) -> None:
        """Draw a lying colour bar with words at its ends."""
        axes = self.axes(left, top, 10, length)
        axes.set_axis_on()
        Colorbar(axes, ScalarMappable(Normalize(0, 1), colours), orientation="horizontal")
        axes.set_xticks([0, 1], [low, high], fontsize=8)
        axes.tick_params(length=0, pad=3)
        self.write(left + length + 14, top - 2, label, points=8, colour=FAINT)

    def save(self, path: Path) -> None:
        """Write it as a PNG file."""
        self.figure.savefig(path, format="png", facecolor="white", dpi=_DPI)


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


def shorten(text: str, length: int) -> str:
    """Cut a text to ``length`` characters, keeping its end."""
    return text if len(text) <= length else "…" + text[1 - length :]
