"""Pictures of what a detector missed and invented."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from viewfinder.evaluation.analysis.crops import Crop
from viewfinder.evaluation.analysis.object_mistakes import Invented, Missed, ObjectMistakes
from viewfinder.evaluation.describe_objects import mask_outlines
from viewfinder.evaluation.example import Example, Marks, rgb_pixels
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.evaluation.measures.error_types import ErrorType
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import decode_masks
from viewfinder.evaluation.selection import Images
from viewfinder.tables import write_table

Row = dict[str, Any]
Kind = Literal["true", "predicted"]

MOST = 16
_KEY = "white, dashed: true object    coloured: detection with its class and score"
_NEAR: dict[ErrorType, str] = {
    "class": "taken for {name}",
    "box": "poor place",
}
_WRONG: dict[ErrorType, str] = {
    "class": "wrong class",
    "box": "poor place",
    "both": "wrong class, poor place",
    "duplicate": "found once more",
    "background": "nothing is there",
}
_DECIMALS = 5


def write_object_mistakes(
    predictions: PredictionsFile,
    mistakes: ObjectMistakes,
    images: Images,
    plots: Path,
    tables: Path,
) -> None:
    """Write what was missed and invented, as tables of all and pictures of the first 16.

    Args:
        predictions: The predictions of a detector.
        mistakes: Its mistakes.
        images: Returns the batch of the images of some rows.
        plots: The folder for ``missed.png`` and ``invented.png``; none without such a mistake.
        tables: The folder for ``missed.csv`` and ``invented.csv``.
    """
    names, name_of = predictions.info.classes, predictions.id
    write_table(
        tables / "missed.csv",
        ["id", "class", "area", "why"],
        (
            [name_of(item.row), names[item.label], round(item.area, 1), _why(item, names)]
            for item in mistakes.missed()
        ),
    )
    write_table(
        tables / "invented.csv",
        ["id", "class", "score", "why"],
        (
            [name_of(item.row), names[item.label], round(item.score, _DECIMALS), _WRONG[item.error]]
            for item in mistakes.invented()
        ),
    )
    for name, heading, chosen, draw in (
        ("missed.png", "Objects that were missed, largest first", mistakes.missed(), _missed),
        (
            "invented.png",
            "Detections that match nothing, surest first",
            mistakes.invented(),
            _found,
        ),
    ):
        examples = _examples(predictions, images, list(islice(chosen, MOST)), draw)
        if examples:
            draw_gallery(plots / name, examples, names, heading=heading, key=_KEY)


def _examples(
    predictions: PredictionsFile,
    images: Images,
    chosen: Sequence[Missed | Invented],
    draw: Callable[..., Example],
) -> list[Example]:
    if not chosen:
        return []
    rows = [item.row for item in chosen]
    pixels, info = images(rows)["image"], predictions.info
    return [
        draw(item, row, rgb_pixels(image), info)
        for item, row, image in zip(chosen, predictions.chosen(rows), pixels, strict=True)
    ]


def _missed(item: Missed, row: Row, image: Any, info: PredictionsInfo) -> Example:
    """Draw an object that was missed, and every detection that was told around it."""
    crop = Crop.around(row["boxes"][item.index], *image.shape[:2])
    return Example(
        id=row["id"],
        image=crop.pixels(image),
        truth=crop.marks(marks_of(row, [item.index], "true")),
        predicted=crop.marks(marks_of(row, info.told(row).tolist(), "predicted")),
        caption=f"{info.classes[item.label]} · {_why(item, info.classes)}",
        quality=-item.area,
    )


def _found(item: Invented, row: Row, image: Any, info: PredictionsInfo) -> Example:
    """Draw a detection that is wrong, and all that is true around it."""
    crop = Crop.around(row["predicted_boxes"][item.index], *image.shape[:2])
    return Example(
        id=row["id"],
        image=crop.pixels(image),
        truth=crop.marks(marks_of(row, range(len(row["boxes"])), "true")),
        predicted=crop.marks(marks_of(row, [item.index], "predicted")),
        caption=f"{info.classes[item.label]} {100 * item.score:.0f} % · {_WRONG[item.error]}",
        quality=-item.score,
    )


def marks_of(row: Row, numbers: Sequence[int], kind: Kind) -> Marks:
    """Return some of an image's true objects or detections, to be drawn."""
    prefix = "" if kind == "true" else "predicted_"
    boxes = np.array(row[f"{prefix}boxes"], np.float32).reshape(-1, 4)[list(numbers)]
    labels = np.array(row[f"{prefix}labels"], np.int64)[list(numbers)]
    outlines = None
    if f"{prefix}masks" in row:
        runs = [row[f"{prefix}masks"][number] for number in numbers]
        masks = decode_masks(runs, row["height"], row["width"])
        outlines = mask_outlines(torch.from_numpy(masks))
    scores = np.zeros(0, np.float32)
    if kind == "predicted":
        scores = np.array(row["predicted_scores"], np.float32)[list(numbers)]
    return Marks(boxes, labels, scores, outlines=outlines)


def _why(item: Missed, names: Sequence[str]) -> str:
    if item.near is None:
        return "no detection"
    return _NEAR[item.near].format(name=None if item.taken_for is None else names[item.taken_for])
