"""Pictures of the images that changed, with the truth and both models' predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.report.thumbnails import thumbnail
from viewfinder.data.schema import split_path
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.comparison.changes import Change
from viewfinder.evaluation.comparison.described import (
    predicted_marks,
    predicted_text,
    true_marks,
    true_text,
)
from viewfinder.evaluation.predictions.file import PredictionsFile

_SIDE = 150  # pixels
_OF_WHOLE_IMAGES = frozenset({"classification", "multilabel"})


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
    info, names = first[1].info, (first[0], second[0])
    return [
        Shown(change, _panels(info.task, info.classes, names, pair, _pixels(split, change.index)))
        for change, pair in zip(changes, rows, strict=True)
    ]


def _pixels(split: SplitFile | None, index: int) -> dict[str, Any] | None:
    return None if split is None else split.row(index, ("image", "width", "height"))


def _panels(
    task: str,
    classes: Sequence[str],
    names: tuple[str, str],
    rows: tuple[Mapping[str, Any], Mapping[str, Any]],
    pixels: dict[str, Any] | None,
) -> list[Panel]:
    lines = [("truth", true_text(task, rows[0], classes))]
    lines += [
        (name, predicted_text(task, row, classes)) for name, row in zip(names, rows, strict=True)
    ]
    if pixels is None or task in _OF_WHOLE_IMAGES:
        return [Panel(thumbnail(pixels, _SIDE) if pixels else None, lines)]
    marks = [(rows[0], true_marks(task, rows[0], classes))]
    marks += [(row, predicted_marks(task, row, classes)) for row in rows]
    return [
        Panel(thumbnail(pixels | _scaled(of_row, row, pixels), _SIDE), [line])
        for line, (row, of_row) in zip(lines, marks, strict=True)
    ]


def _scaled(
    marks: Mapping[str, Any], row: Mapping[str, Any], pixels: Mapping[str, Any]
) -> dict[str, Any]:
    """Bring boxes from the network's input to the image."""
    across, down = pixels["width"] / row["width"], pixels["height"] / row["height"]
    scale = np.array([across, down, across, down])
    objects = [item | {"bbox": np.array(item["bbox"]) * scale} for item in marks.get("objects", ())]
    return {**marks, "objects": objects}
