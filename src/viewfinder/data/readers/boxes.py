"""Boxes as their authors wrote them: numbers, and the right way round."""

import math
from collections.abc import Sequence

from viewfinder.errors import ViewfinderError

Box = tuple[float, float, float, float]


def checked_box(corners: Sequence[object], where: str) -> Box:
    """Return left, top, right, bottom as numbers.

    A box without an area, or one that reaches out of the image, is kept as it was found; the
    split's report lists it.

    Args:
        corners: Left, top, right, bottom in pixels: numbers or their text.
        where: The file and what in it the box belongs to, for the message.

    Raises:
        ViewfinderError: If a corner is no number, or right lies before left, or bottom before top.
    """
    try:
        left, top, right, bottom = (float(str(corner)) for corner in corners)
    except ValueError:
        left = top = right = bottom = math.nan
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise ViewfinderError(
            f"{where} has the box {list(corners)}; expected four numbers. Correct the annotation."
        )
    if right < left or bottom < top:
        raise ViewfinderError(
            f"{where} has the box {[left, top, right, bottom]} (left, top, right, bottom), which "
            "is reversed; expected left <= right and top <= bottom. Swap its corners."
        )
    return left, top, right, bottom
