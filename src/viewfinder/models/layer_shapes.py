"""Shapes that run through a network's layers, and the options that must fit them.

Shapes are (channels, height, width) for maps and (features,) for vectors.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from viewfinder.models.windows import PADDINGS, Padding, Window, slide

Shape = tuple[int, ...]
Pair = tuple[int, int]


class UnfitLayerError(ValueError):
    """A layer that can't be built: what came, what was expected, what would work."""


def describe_shape(shape: Shape) -> str:
    """Put a shape into words."""
    if len(shape) == 1:
        return f"a vector of {shape[0]}"
    channels, height, width = shape
    return f"{height}x{width} with {channels} channel{'s' if channels > 1 else ''}"


def as_maps(shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width of maps; vectors are refused."""
    if len(shape) != 3:
        raise UnfitLayerError(
            f"its input is {describe_shape(shape)}, but it takes maps with height and width. "
            "Put it before the layer that makes a vector"
        )
    channels, height, width = shape
    return channels, height, width


def slide_over(
    shape: Shape, kernel: Pair, stride: Pair, padding: Padding, what: str
) -> tuple[Window, Window]:
    """Slide a window over maps, down and across; one that does not fit is refused."""
    _, height, width = as_maps(shape)
    if padding not in PADDINGS:
        raise UnfitLayerError(f"its padding is {padding!r}; expected {' or '.join(PADDINGS)}")
    rows = slide(height, kernel[0], stride[0], padding)
    columns = slide(width, kernel[1], stride[1], padding)
    if not rows.output or not columns.output:
        raise UnfitLayerError(
            f"its input is {height}x{width}, smaller than its {kernel[0]}x{kernel[1]} {what}. "
            "Use larger images, `padding: same`, or fewer layers before it that make maps smaller"
        )
    return rows, columns


def outputs(windows: tuple[Window, Window]) -> Pair:
    """Return height and width of what the windows give."""
    return windows[0].output, windows[1].output


def sides(windows: tuple[Window, Window]) -> tuple[int, int, int, int]:
    """Return the padding in PyTorch's order: left, right, top, bottom."""
    rows, columns = windows
    return columns.before, columns.after, rows.before, rows.after


def zero_padding(windows: tuple[Window, Window]) -> tuple[list[nn.Module], Pair]:
    """Return a padding layer where the two sides differ, and what the convolution pads itself."""
    rows, columns = windows
    if rows.before == rows.after and columns.before == columns.after:
        return [], (rows.before, columns.before)
    return [nn.ZeroPad2d(sides(windows))], (0, 0)


def as_count(value: Any, what: str) -> int:
    """Return an integer of 1 or more; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnfitLayerError(f"{what} is {value!r}; expected an integer of 1 or more")
    return value


def as_pair(value: Any, what: str) -> Pair:
    """Return height and width from one integer for both, or from two."""
    sides = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2:
        raise UnfitLayerError(f"{what} is {value!r}; expected one integer or [height, width]")
    height, width = (as_count(side, what) for side in sides)
    return height, width
