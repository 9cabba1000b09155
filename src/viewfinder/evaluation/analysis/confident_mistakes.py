"""Wrong decisions of which the model is surest, where classes are told of whole images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.selection import Images, examples_of
from viewfinder.tables import write_table

_MOST = 16
_DECIMALS = 5
_KEY = "true class → predicted class and its probability"
_KEY_SEVERAL = "the surest wrong decision about an image, and the probability of that class"


@dataclass(frozen=True)
class ConfidentMistake:
    """A wrong decision about a class.

    Attributes:
        row: Row of the image.
        truth: What is true.
        predicted: What was predicted.
        probability: Of the class that was predicted or, of several classes, that was missed or
            invented.
        confidence: In the decision, by which mistakes are ordered.
    """

    row: int
    truth: str
    predicted: str
    probability: float
    confidence: float


def confident_mistakes(predictions: PredictionsFile) -> list[ConfidentMistake]:
    """Return the surest wrong decision about each image, surest first."""
    several = predictions.info.task == "multilabel"
    found = _of_several(predictions) if several else _of_one(predictions)
    return sorted(found, key=lambda item: -item.confidence)


def write_confident_mistakes(
    predictions: PredictionsFile, images: Images, plots: Path, tables: Path
) -> None:
    """Write all of them as a table and the first 16 as a picture.

    Args:
        predictions: The predictions for classification, localization or several classes an image.
        images: Returns the batch of the images of some rows.
        plots: The folder for ``confident_mistakes.png``; there is none without a mistake.
        tables: The folder for ``confident_mistakes.csv``.
    """
    mistakes = confident_mistakes(predictions)
    ids = predictions.table.column("id").to_pylist()
    write_table(
        tables / "confident_mistakes.csv",
        ["id", "truth", "predicted", "probability"],
        (
            [ids[item.row], item.truth, item.predicted, round(item.probability, _DECIMALS)]
            for item in mistakes
        ),
    )
    if mistakes:
        _draw(plots / "confident_mistakes.png", predictions, images, mistakes[:_MOST])


def _draw(
    path: Path,
    predictions: PredictionsFile,
    images: Images,
    mistakes: Sequence[ConfidentMistake],
) -> None:
    several = predictions.info.task == "multilabel"
    arrow = " · told " if several else " → "
    drawn = examples_of(predictions, images, [item.row for item in mistakes])
    examples = [
        replace(
            example,
            caption=f"{item.truth}{arrow}{item.predicted} {100 * item.probability:.0f} %",
            right=False,
        )
        for example, item in zip(drawn, mistakes, strict=True)
    ]
    draw_gallery(
        path,
        examples,
        predictions.info.classes,
        heading="The most confident mistakes, surest first",
        key=_KEY_SEVERAL if several else _KEY,
    )


def _of_one(predictions: PredictionsFile) -> list[ConfidentMistake]:
    names = predictions.info.classes
    labels, probabilities = (predictions.column(name) for name in ("label", "probabilities"))
    found = probabilities.argmax(axis=1)
    mistakes = []
    for row in np.flatnonzero(found != labels).tolist():
        surest = float(probabilities[row, found[row]])
        mistakes.append(
            ConfidentMistake(row, names[labels[row]], names[found[row]], surest, surest)
        )
    return mistakes


def _of_several(predictions: PredictionsFile) -> list[ConfidentMistake]:
    names = predictions.info.classes
    labels, told, probabilities = (
        predictions.column(name) for name in ("labels", "present", "probabilities")
    )
    confidence = np.where(told, probabilities, 1 - probabilities)
    confidence = np.where(labels == told, -1.0, confidence)
    mistakes = []
    for row in np.flatnonzero((labels != told).any(axis=1)).tolist():
        label = int(confidence[row].argmax())
        without = f"no {names[label]}"
        truth, said = (without, names[label]) if told[row, label] else (names[label], without)
        mistakes.append(
            ConfidentMistake(
                row,
                truth,
                said,
                float(probabilities[row, label]),
                float(confidence[row, label]),
            )
        )
    return mistakes
