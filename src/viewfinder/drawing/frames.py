"""Frames around objects."""

from typing import Literal

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

_SHADOW = 0.55


def frame(
    box: NDArray[np.float32],
    colour: str,
    *,
    points: float,
    style: Literal["-", "--"] = "-",
    shadow: float,
) -> Rectangle:
    """Return a frame that is to be seen on any picture.

    Args:
        box: Left, top, right, bottom, [4].
        colour: Of the line.
        points: Width of the line.
        style: Solid or dashed.
        shadow: Width of the dark line behind it, points.
    """
    left, top, right, bottom = (float(side) for side in box)
    return Rectangle(
        (left, top),
        right - left,
        bottom - top,
        fill=False,
        edgecolor=colour,
        linewidth=points,
        linestyle=style,
        path_effects=[withStroke(linewidth=shadow, foreground="black", alpha=_SHADOW)],
    )
