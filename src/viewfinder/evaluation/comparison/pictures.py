"""Pictures of the images that changed, with the truth and both models' predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.report.thumbnails import as_uri, draw_box, thumbnail, to_rgb
from viewfinder.data.schema import split_path
from viewfinder.data.splits.pixels import decode
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.comparison.changes import Change
from viewfinder.evaluation.comparison.described import (
    NOTHING,
    Drawn,
    predicted_marks,
    predicted_text,
    true_marks,
    true_text,
)
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.tiles import overlay

_SIDE = 150  # pixels
OF_WHOLE_IMAGES = frozenset({"classification", "multilabel"})


@dataclass(frozen=True)
class Panel:
    """One picture of an image.

    Attributes:
        uri: The picture as a data URI; None where the image is not at hand.
        lines: What stands under it: who says so, and what.
    """

    uri: str | None
    lines: list[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """An image that changed.

    Attributes:
        change: What changed.
        panels: One picture, or truth and both predictions.
    """

    change: Change
    panels: list[Panel]


def open_pictures(project: Path, predictions: PredictionsFile) -> SplitFile | None:
    """Return the test split that was predicted for, if the checkout still has it as it was."""
    try:
        split = SplitFile(project / split_path(predictions.info.dataset, "test"))
    except ViewfinderError:
        return None
    return split if split.digest() == predictions.info.digest else None


def show_changes(
    changes: Sequence[Change],
    first: tuple[str, PredictionsFile],
    second: tuple[str, PredictionsFile],
    split: SplitFile | None,
) -> list[Shown]:
    """Draw images that changed.

    Args:
        changes: The images.
        first: The baseline's name and predictions.
        second: The other model's.
        split: The test split; None if it is not at hand.
    """
    indices = [change.index for change in changes]
    rows = zip(*(file.chosen(indices) for _, file in (first, second)), strict=True)
    infos, names = (first[1].info, second[1].info), (first[0], second[0])
    return [
        Shown(change, _panels(infos, names, pair, _pixels(split, change.index)))
        for change, pair in zip(changes, rows, strict=True)
    ]


def _pixels(split: SplitFile | None, index: int) -> dict[str, Any] | None:
    return None if split is None else split.row(index, ("image",))


def _panels(
    infos: tuple[PredictionsInfo, PredictionsInfo],
    names: tuple[str, str],
    rows: tuple[Mapping[str, Any], Mapping[str, Any]],
    pixels: dict[str, Any] | None,
) -> list[Panel]:
    task, classes = infos[0].task, infos[0].classes
    lines = [("truth", true_text(task, rows[0], classes))]
    lines += [
        (name, predicted_text(info, row))
        for name, info, row in zip(names, infos, rows, strict=True)
    ]
    if pixels is None or task in OF_WHOLE_IMAGES:
        return [Panel(thumbnail(pixels, _SIDE) if pixels else None, lines)]
    marks = [true_marks(task, rows[0]), *map(predicted_marks, infos, rows)]
    inputs = [rows[0], *rows]
    return [
        Panel(
            _draw(pixels["image"]["bytes"], of_row, (row["width"], row["height"]), classes), [line]
        )
        for line, row, of_row in zip(lines, inputs, marks, strict=True)
    ]


def _draw(content: bytes, marks: Drawn, size: tuple[int, int], classes: Sequence[str]) -> str:
    """Draw marks over an image; a mask greys it, so that its own colours don't pass for classes.

    Args:
        content: The encoded image.
        marks: What to draw.
        size: Width and height of the network's input, pixels.
        classes: Class names.
    """
    pixels = to_rgb(decode(content))
    scale = _SIDE / max(pixels.shape[:2])
    across, down = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = np.asarray(cv2.resize(pixels, (across, down), interpolation=method), np.uint8)
    if marks.mask is not None:
        mask = cv2.resize(marks.mask, (across, down), interpolation=cv2.INTER_NEAREST)
        names = [*classes, *[BACKGROUND] * (NOTHING + 1 - len(classes))]
        picture = overlay(picture, np.asarray(mask, np.uint8), names)
    to_picture = np.array([across / size[0], down / size[1]] * 2)
    for box, label in zip(marks.boxes, marks.labels, strict=True):
        draw_box(picture, np.array(box) * to_picture, label)
    return as_uri(picture)
