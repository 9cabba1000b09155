"""A figure measured in pixels."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray
from PIL import Image

from viewfinder.drawing.palette import FAINT, INK

MARGIN, HEADER = 24, 66

_DPI = 100
_HEADING_POINTS, _KEY_POINTS = 14, 9


class Canvas:
    """A figure on which things are placed in pixels from the upper left.

    Args:
        height: Of the figure, pixels.
        width: Of the figure, pixels; it is wider where title and key need more.
        heading: Its title, if it has one.
        key: A line below the title that says how to read it.
    """

    def __init__(self, height: int, width: int, *, heading: str = "", key: str = "") -> None:
        lines = (_line_width(heading, _HEADING_POINTS), _line_width(key, _KEY_POINTS))
        self.height = height
        self.width = max([width, *(2 * MARGIN + line for line in lines if line)])
        self.figure = Figure((self.width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self.write(MARGIN, 14, heading, points=_HEADING_POINTS)
        self.write(MARGIN, 40, key, points=_KEY_POINTS, colour=FAINT)

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

    def picture(self) -> Image.Image:
        """Render it, RGB."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="raw", facecolor="white", dpi=_DPI)
        size = (self.width, self.height)
        return Image.frombytes("RGBA", size, buffer.getvalue()).convert("RGB")

    def save(self, path: Path) -> None:
        """Write it as a PNG file."""
        self.figure.savefig(path, format="png", facecolor="white", dpi=_DPI)


def _line_width(text: str, points: float) -> int:
    """Return how many pixels a line takes."""
    renderer: Any = RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]
    font = FontProperties(size=points)
    width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
    return math.ceil(width)
