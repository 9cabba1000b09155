"""A gallery of class activation maps."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray

from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.frames import frame
from viewfinder.drawing.mosaic import scale
from viewfinder.drawing.palette import FAINT
from viewfinder.drawing.text import shorten
from viewfinder.explain.class_activation import Explanation, Heat
from viewfinder.explain.subject import Subject

_SIDE = 224
_GAP, _CAPTION, _FOOTER = 4, 66, 46
_TITLE, _FIRST_LINE, _SECOND_LINE, _COLOUR_BAR = 16, 22, 40, 36
_LEAST_WIDTH = 720
_LAYER_CHARACTERS = 60
_OPACITY = 0.6
_COLOURS = "inferno"
_DETECTION = "#00FCCF"
_CHARACTER_PIXELS = 7.2


def draw_heatmaps(
    path: Path,
    subjects: Sequence[Subject],
    explanations: Sequence[Explanation],
    classes: Sequence[str],
    *,
    heading: str,
) -> None:
    """Draw each image beside its heatmaps, with true boxes and outlines where known.

    Args:
        path: The PNG file to write.
        subjects: The images; at least one, all of one size.
        explanations: What was found for each, by the same methods.
        classes: Class names.
        heading: Title of the picture.
    """
    height, width = _tile(subjects[0]).shape[:2]
    columns = 1 if len(subjects) == 1 else 2
    rows = -(-len(subjects) // columns)
    cell = (1 + len(explanations[0].maps)) * (width + _GAP) + 2 * MARGIN
    line = height + _CAPTION
    canvas = Canvas(
        HEADER + rows * line + _FOOTER,
        max(columns * cell, _LEAST_WIDTH),
        heading=heading,
        key=_key(explanations),
    )
    for index, (subject, explanation) in enumerate(zip(subjects, explanations, strict=True)):
        row, column = divmod(index, columns)
        place = HEADER + row * line, MARGIN + column * cell
        _draw_row(canvas, subject, explanation, classes, *place)
    layers = ", ".join(dict.fromkeys(item.layer for item in explanations))
    layers = shorten(layers, _LAYER_CHARACTERS, keep_end=True)
    canvas.colour_bar(
        colormaps[_COLOURS],
        "0",
        "strongest",
        left=MARGIN + 6,
        top=canvas.height - _COLOUR_BAR,
        label=f"evidence for the class, each map on its own scale; layer: {layers}",
    )
    canvas.save(path)


def _key(explanations: Sequence[Explanation]) -> str:
    key = "Bright parts speak for the class below the image. Dashed: true objects."
    detected = any(item.box is not None for item in explanations)
    return f"{key} Green: the detection that is explained." if detected else key


def _draw_row(
    canvas: Canvas,
    subject: Subject,
    explanation: Explanation,
    classes: Sequence[str],
    top: int,
    left: int,
) -> None:
    picture = _tile(subject)
    height, width = picture.shape[:2]
    rows, columns = subject.image.shape[-2:]
    panels = {"image": picture}
    panels |= {name: overlay(picture, heat) for name, heat in explanation.maps.items()}
    for number, (name, panel) in enumerate(panels.items()):
        start = left + number * (width + _GAP)
        canvas.write(start, top, name, points=8, colour=FAINT)
        axes = canvas.axes(start, top + _TITLE, height, width)
        axes.imshow(panel, extent=(0, columns, rows, 0), interpolation="nearest", aspect="auto")
        axes.set(xlim=(0, columns), ylim=(rows, 0))
        _draw_truth(axes, subject, explanation)
    room = int(len(panels) * width / _CHARACTER_PIXELS)
    caption = describe(subject, explanation, classes)
    canvas.write(left, top + height + _FIRST_LINE, shorten(caption, room + 4), points=9.5)
    name = shorten(subject.name, int(1.25 * room), keep_end=True)
    canvas.write(left, top + height + _SECOND_LINE, name, points=7, colour=FAINT)


def describe(subject: Subject, explanation: Explanation, classes: Sequence[str]) -> str:
    """Say which class is explained, how sure the network is, and what is true."""
    target = explanation.target
    text = f"{classes[target.label]}  {100 * target.score:.1f} %{target.unit}"
    if subject.labels:
        text += f"   (true: {', '.join(classes[label] for label in subject.labels)})"
    empty = [name for name, heat in explanation.maps.items() if not heat.any()]
    return f"{text}   nothing stands out in {' or '.join(empty)}" if empty else text


def overlay(picture: NDArray[np.uint8], heat: Heat) -> NDArray[np.uint8]:
    """Blend a heatmap [h, w] in [0, 1] over a greyed picture, uint8 [H, W, 3]."""
    size = (picture.shape[1], picture.shape[0])
    grown = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = 255 * colormaps[_COLOURS](grown)[..., :3]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    return ((1 - _OPACITY) * grey + _OPACITY * colours).clip(0, 255).astype(np.uint8)


def _draw_truth(axes: Axes, subject: Subject, explanation: Explanation) -> None:
    for box in subject.boxes:
        axes.add_patch(frame(box, "white", points=1.2, style="--", shadow=2.6))
    if explanation.box is not None:
        axes.add_patch(frame(explanation.box, _DETECTION, points=1.8, shadow=2.6))
    if subject.mask is not None:
        true = (subject.mask == explanation.target.label).numpy()
        if true.any() and not true.all():
            height, width = true.shape
            places = np.arange(width) + 0.5, np.arange(height) + 0.5
            axes.contour(
                *places, true, levels=[0.5], colors="white", linewidths=1.2, linestyles="--"
            )


def _tile(subject: Subject) -> NDArray[np.uint8]:
    return np.asarray(scale(subject.pixels, _SIDE), np.uint8)
