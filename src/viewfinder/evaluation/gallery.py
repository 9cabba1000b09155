"""Pictures of many examples."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from PIL import Image

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import fit_size
from viewfinder.drawing.palette import FAINT, INK, RIGHT, WRONG, class_colour
from viewfinder.drawing.text import shorten
from viewfinder.evaluation.example import Example
from viewfinder.evaluation.tiles import (
    draw_boxes,
    draw_image,
    draw_outlines,
    draw_regions,
    overlay,
)

_GAP, _PANEL_GAP = 18, 4
_CAPTION, _LEGEND = 38, 40
_EDGE = 4
_FRAME_POINTS = 3.5
_SIDE, _BOXED_SIDE = 192, 288
_CHARACTER_PIXELS = 7.6
_MOST_BYTES = 1_400_000
_MOST_IN_LEGEND, _MOST_IN_LINE = 20, 10


@dataclass(frozen=True)
class _Layout:
    """Where things are, in pixels from the upper left."""

    count: int
    panels: int
    columns: int
    tile: tuple[int, int]
    legend: bool
    header: int = HEADER
    margin: int = MARGIN

    @property
    def cell(self) -> tuple[int, int]:
        height, width = self.tile
        return height + _CAPTION, self.panels * (width + _PANEL_GAP) - _PANEL_GAP

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.cell
        rows = -(-self.count // self.columns)
        legend = _LEGEND if self.legend else 0
        return (
            self.header + rows * (height + _GAP) - _GAP + legend + self.margin,
            2 * self.margin + self.columns * (width + _GAP) - _GAP,
        )

    def corner(self, index: int, panel: int) -> tuple[int, int]:
        row, column = divmod(index, self.columns)
        height, width = self.cell
        left = self.margin + column * (width + _GAP) + panel * (self.tile[1] + _PANEL_GAP)
        return self.header + row * (height + _GAP), left


def draw_gallery(
    path: Path,
    examples: Sequence[Example],
    classes: Sequence[str],
    *,
    heading: str,
    key: str = "",
) -> None:
    """Draw examples in a grid; those with masks as image, truth (if known) and prediction.

    Args:
        path: The PNG file to write; it stays below 1.5 MB.
        examples: What to draw, in order; at least one, all of one size.
        classes: Class names.
        heading: Title of the picture.
        key: A line below the title that explains the drawings.
    """
    masks = examples[0].predicted.mask is not None
    layout = _Layout(
        count=len(examples),
        panels=(3 if examples[0].truth.mask is not None else 2) if masks else 1,
        columns=min(len(examples), 2 if masks else 4),
        tile=_tile(examples),
        legend=masks,
    )
    canvas = Canvas(*layout.size, heading=heading, key=key)
    for index, example in enumerate(examples):
        _draw_example(canvas, layout, index, example, classes)
    if masks:
        _draw_legend(canvas, examples, classes)
    path.write_bytes(_png(canvas))


def example_png(example: Example, classes: Sequence[str]) -> bytes:
    """Draw one example to the edges of a PNG; one with masks as truth (if known) and prediction.

    Args:
        example: What to draw.
        classes: Class names.
    """
    masks = example.predicted.mask is not None
    layout = _Layout(
        count=1,
        panels=2 if masks and example.truth.mask is not None else 1,
        columns=1,
        tile=_tile([example]),
        legend=False,
        header=_EDGE,
        margin=_EDGE,
    )
    canvas = Canvas(*layout.size)
    _draw_example(canvas, layout, 0, example, classes)
    return _png(canvas)


def _tile(examples: Sequence[Example]) -> tuple[int, int]:
    boxed = any(len(marks.boxes) for e in examples for marks in (e.truth, e.predicted))
    height, width = examples[0].image.shape[:2]
    return fit_size(height, width, _BOXED_SIDE if boxed else _SIDE)


def _draw_example(
    canvas: Canvas, layout: _Layout, index: int, example: Example, classes: Sequence[str]
) -> None:
    if example.predicted.mask is None:
        _draw_single(canvas, layout, index, example, classes)
    else:
        _draw_panels(canvas, layout, index, example, classes)
    _draw_caption(canvas, layout, index, example)


def _draw_single(
    canvas: Canvas, layout: _Layout, index: int, example: Example, classes: Sequence[str]
) -> None:
    axes = _axes(canvas, layout, index, 0)
    draw_image(axes, example.image, layout.tile)
    draw = draw_boxes if example.predicted.outlines is None else draw_outlines
    draw(axes, example.truth, example.predicted, classes)
    if example.right is not None:
        axes.add_patch(
            Rectangle(
                (0, 0),
                1,
                1,
                transform=axes.transAxes,
                fill=False,
                edgecolor=RIGHT if example.right else WRONG,
                linewidth=_FRAME_POINTS,
                clip_on=False,
            )
        )


def _draw_panels(
    canvas: Canvas, layout: _Layout, index: int, example: Example, classes: Sequence[str]
) -> None:
    masks = [mask for mask in (example.truth.mask, example.predicted.mask) if mask is not None]
    pictures = [example.image, *(overlay(example.image, mask, classes) for mask in masks)]
    for panel, picture in enumerate(pictures[-layout.panels :]):
        axes = _axes(canvas, layout, index, panel)
        draw_image(axes, picture, layout.tile)
        draw_regions(axes, example.predicted)


def _draw_caption(canvas: Canvas, layout: _Layout, index: int, example: Example) -> None:
    top, left = layout.corner(index, 0)
    height, width = layout.cell
    below = top + height - _CAPTION + 7
    room = int(width / _CHARACTER_PIXELS)
    sign = {True: "✓ ", False: "✗ ", None: ""}[example.right]
    colour = {True: RIGHT, False: WRONG, None: INK}[example.right]
    canvas.write(left, below, shorten(sign + example.caption, room), points=9.5, colour=colour)
    name = shorten(example.id, int(1.3 * room), keep_end=True)
    canvas.write(left, below + 18, name, points=7, colour=FAINT)


def _draw_legend(canvas: Canvas, examples: Sequence[Example], classes: Sequence[str]) -> None:
    """Name the colours of the classes that are to be seen."""
    masks = [mask for e in examples for mask in (e.truth.mask, e.predicted.mask)]
    seen = np.unique([label for mask in masks if mask is not None for label in np.unique(mask)])
    shown = [int(label) for label in seen if label < len(classes) and classes[label] != BACKGROUND]
    patches = [
        Patch(color=class_colour(label), label=shorten(classes[label], 20))
        for label in shown[:_MOST_IN_LEGEND]
    ]
    if patches:
        lines = math.ceil(len(patches) / _MOST_IN_LINE)
        canvas.figure.legend(
            handles=patches,
            loc="lower center",
            ncols=math.ceil(len(patches) / lines),
            frameon=False,
            fontsize=9.5,
            handlelength=1.2,
            handleheight=1.2,
        )


def _axes(canvas: Canvas, layout: _Layout, index: int, panel: int) -> Axes:
    top, left = layout.corner(index, panel)
    return canvas.axes(left, top, *layout.tile)


def _png(canvas: Canvas) -> bytes:
    """Render to PNG, with fewer colours if it would be too large."""
    picture = canvas.picture()
    content = _encode(picture)
    if len(content) > _MOST_BYTES:
        content = _encode(picture.quantize(256, dither=Image.Dither.NONE))
    return content


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
