"""Drawing one example: its pixels, boxes and mask."""

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.schema import IGNORE
from viewfinder.drawing.frames import frame
from viewfinder.drawing.palette import class_colour, ink_on
from viewfinder.drawing.text import shorten
from viewfinder.evaluation.example import Marks

_OPACITY = 0.8
_FILL = 0.4
_LABEL_POINTS = 7.5
_LONGEST_LABEL = 16


def draw_image(axes: Axes, image: NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Show an image, drawn at ``size`` (height, width), on axes in the image's own pixels."""
    height, width = image.shape[:2]
    grows = size[0] >= height
    drawn = cv2.resize(
        image, size[::-1], interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_AREA
    )
    axes.imshow(drawn, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_boxes(axes: Axes, truth: Marks, predicted: Marks, classes: Sequence[str]) -> None:
    """Draw true boxes dashed in white, predicted ones in their class's colour with its name."""
    for box in truth.boxes:
        axes.add_patch(frame(box, "white", points=1.1, style="--", shadow=2.2))
    order = predicted.scores.argsort()
    for index in order:
        colour = class_colour(int(predicted.labels[index]))
        axes.add_patch(frame(predicted.boxes[index], colour, points=2.0, shadow=3.2))
    for index in order:
        label = int(predicted.labels[index])
        name = shorten(classes[label], _LONGEST_LABEL)
        text = f"{name} {100 * predicted.scores[index]:.0f} %"
        _draw_label(axes, text, predicted.boxes[index], class_colour(label))


def draw_outlines(axes: Axes, truth: Marks, predicted: Marks, classes: Sequence[str]) -> None:
    """Draw true objects as white lines, predicted ones filled in their class's colour.

    Their classes are named where there is more than one.
    """
    for label, lines in zip(predicted.labels, predicted.outlines or [], strict=True):
        for line in lines:
            axes.add_patch(_polygon(line, class_colour(int(label)), filled=True))
    for lines in truth.outlines or []:
        for line in lines:
            axes.add_patch(_polygon(line, "white", filled=False))
    if len(classes) > 1:
        for label, box in zip(predicted.labels, predicted.boxes, strict=True):
            name = shorten(classes[int(label)], _LONGEST_LABEL)
            _draw_label(axes, name, box, class_colour(int(label)))


def draw_regions(axes: Axes, marks: Marks) -> None:
    """Draw the lines around regions of a mask, to be seen on any picture."""
    for lines in marks.outlines or []:
        for line in lines:
            shadow = withStroke(linewidth=2.6, foreground="black")
            outline = _polygon(line, "white", filled=False)
            outline.set(linestyle="-", linewidth=1.2, path_effects=[shadow])
            axes.add_patch(outline)


def overlay(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """Blend the classes' colours over an image, uint8 [H, W, 3]; the background stays clear.

    The image is greyed and dimmed below, so that its own colours don't pass for classes. Pixels
    that don't count are white.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    drawn = np.repeat(grey[..., None], 3, axis=2) * 0.55 + 50
    for label in np.unique(mask):
        where = mask == label
        if label == IGNORE:
            drawn[where] = 255
        elif classes[label] != BACKGROUND:
            colour = 255 * np.array(to_rgb(class_colour(int(label))), np.float32)
            drawn[where] += _OPACITY * (colour - drawn[where])
    return drawn.clip(0, 255).astype(np.uint8)


def _polygon(line: NDArray[np.float32], colour: str, *, filled: bool) -> Polygon:
    return Polygon(
        line,
        closed=True,
        facecolor=(*to_rgb(colour), _FILL) if filled else "none",
        edgecolor=colour,
        linewidth=1.4 if filled else 0.9,
        linestyle="-" if filled else "--",
    )


def _draw_label(axes: Axes, text: str, box: NDArray[np.float32], colour: str) -> None:
    """Write on the box's upper edge, or inside it at the top of the image, within the image."""
    left, top, right, _ = (float(value) for value in box)
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    to_right = left < 0.6 * width
    axes.text(
        max(left, 0) if to_right else min(right, width),
        top if top > 0.06 * height else max(top, 0),
        text,
        fontsize=_LABEL_POINTS,
        color=ink_on(colour),
        ha="left" if to_right else "right",
        va="bottom" if top > 0.06 * height else "top",
        parse_math=False,
        clip_on=True,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
    )
