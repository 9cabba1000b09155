"""Which examples are worth a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.describe import describe
from viewfinder.evaluation.example import Example
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import predictions_of

Images = Callable[[Sequence[int]], Batch]

_BOXES = "white, dashed: true box    coloured: prediction with its class and score"
_OUTLINES = "white, dashed: true object    filled: predicted object"
_FROM = ", from its class's threshold on"


@dataclass(frozen=True)
class _Style:
    """How many examples a picture shows, and a line that explains the drawings."""

    count: int
    key: str


_STYLES = {
    "classification": _Style(16, "true class → predicted class and its probability"),
    "multilabel": _Style(
        16, "the classes that are there; where it failed, those that were missed or wrong"
    ),
    "localization": _Style(16, _BOXES),
    "detection": _Style(16, _BOXES + _FROM),
    "instances": _Style(16, _OUTLINES + _FROM),
    "segmentation": _Style(8, "image    |    truth    |    prediction"),
}


def draw_galleries(predictions: PredictionsFile, images: Images, plots: Path) -> None:
    """Draw examples spread evenly through the split, and the worst ones.

    Args:
        predictions: The predictions for the split.
        images: Returns the batch of the images of some rows.
        plots: The folder for ``predictions.png`` and ``worst.png``.
    """
    classes, style = predictions.info.classes, _STYLES[predictions.info.task]
    worst = np.argsort(predictions.column("score"), kind="stable")[: style.count].tolist()
    for name, heading, chosen in (
        (
            "predictions.png",
            "Predictions, chosen evenly through the split",
            even_positions(len(predictions), style.count),
        ),
        ("worst.png", "The worst predictions, worst first", worst),
    ):
        examples = examples_of(predictions, images, chosen)
        draw_gallery(plots / name, examples, classes, heading=heading, key=style.key)


def examples_of(
    predictions: PredictionsFile, images: Images, indices: Sequence[int]
) -> list[Example]:
    """Return the images of some rows with what is true of them and what was predicted."""
    info = predictions.info
    found = predictions_of(info.task, predictions.chosen(indices), info.told_from)
    return list(describe(info.task, found, images(indices), info.classes, info.thresholds))


def even_positions(total: int, count: int) -> list[int]:
    """Return ``count`` (or, if there are fewer, ``total``) positions spread from first to last."""
    positions = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    return [int(position) for position in positions]
