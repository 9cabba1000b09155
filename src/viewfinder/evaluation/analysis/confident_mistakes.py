"""Wrong decisions of which the model is surest, about whole images or regions of a mask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from viewfinder.evaluation.analysis.region_pictures import MASK_KEY, around_regions
from viewfinder.evaluation.analysis.regions import (
    REGION_COLUMNS,
    PixelMaps,
    Region,
    pixel_maps,
    regions,
)
from viewfinder.evaluation.example import Example
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.selection import Images, examples_of
from viewfinder.tables import write_table

_MOST = 16
_DECIMALS = 5
_KEY = "true class → predicted class and its probability"
_KEYS = {
    "multilabel": "the surest wrong decision about an image, and the probability of that class",
    "segmentation": f"{MASK_KEY}    true class → predicted class and its mean probability",
}


@dataclass(frozen=True, slots=True)
class ConfidentMistake:
    """A wrong decision about a class.

    Attributes:
        row: Row of the image.
        truth: What is true.
        predicted: What was predicted.
        probability: Of the class that was predicted or, of several classes, that was missed or
            invented.
        confidence: In the decision, by which mistakes are ordered.
        region: Where the image is wrong, if classes are told of pixels.
    """

    row: int
    truth: str
    predicted: str
    probability: float
    confidence: float
    region: Region | None = None


def confident_mistakes(predictions: PredictionsFile) -> list[ConfidentMistake]:
    """Return the surest wrong decision about each image, surest first.

    Of regions that the model is equally sure of, to whole percent, the largest comes first.
    """
    found = _BY_TASK.get(predictions.info.task, _of_one)(predictions)
    return sorted(found, key=_order)


def write_confident_mistakes(
    predictions: PredictionsFile, images: Images, plots: Path, tables: Path
) -> None:
    """Write all of them as a table and the first 16 as a picture.

    Args:
        predictions: The predictions for anything but objects.
        images: Returns the batch of the images of some rows.
        plots: The folder for ``confident_mistakes.png``; there is none without a mistake.
        tables: The folder for ``confident_mistakes.csv``.
    """
    mistakes = confident_mistakes(predictions)
    places = REGION_COLUMNS if predictions.info.task == "segmentation" else ()
    write_table(
        tables / "confident_mistakes.csv",
        ["id", "truth", "predicted", "probability", *places],
        (
            [
                predictions.id(item.row),
                item.truth,
                item.predicted,
                round(item.probability, _DECIMALS),
                *(item.region.cells if item.region else ()),
            ]
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
    task = predictions.info.task
    arrow = " · told " if task == "multilabel" else " → "
    drawn = _examples(predictions, images, mistakes)
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
        key=_KEYS.get(task, _KEY),
    )


def _examples(
    predictions: PredictionsFile, images: Images, mistakes: Sequence[ConfidentMistake]
) -> list[Example]:
    places = [(item.row, item.region) for item in mistakes if item.region]
    if places:
        return around_regions(predictions, images, places)
    return examples_of(predictions, images, [item.row for item in mistakes])


def _order(mistake: ConfidentMistake) -> tuple[float, int]:
    return -mistake.confidence, -mistake.region.area if mistake.region else 0


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
    mistakes = []
    for rows, (labels, told, probabilities) in predictions.parts(
        "labels", "present", "probabilities"
    ):
        confidence = np.where(told, probabilities, 1 - probabilities)
        confidence = np.where(labels == told, -1.0, confidence)
        for place in np.flatnonzero((labels != told).any(axis=1)).tolist():
            label = int(confidence[place].argmax())
            without = f"no {names[label]}"
            invented = told[place, label]
            truth, said = (without, names[label]) if invented else (names[label], without)
            mistakes.append(
                ConfidentMistake(
                    rows.start + place,
                    truth,
                    said,
                    float(probabilities[place, label]),
                    float(confidence[place, label]),
                )
            )
    return mistakes


def _of_regions(predictions: PredictionsFile) -> list[ConfidentMistake]:
    every = (
        _surest_region(row, maps, predictions.info.classes)
        for row, maps in enumerate(pixel_maps(predictions))
    )
    return [item for item in every if item is not None]


def _surest_region(row: int, maps: PixelMaps, names: Sequence[str]) -> ConfidentMistake | None:
    found = (
        ConfidentMistake(
            row,
            names[region.given],
            names[region.predicted],
            region.confidence,
            region.confidence,
            region,
        )
        for region in regions(maps, maps.wrong)
    )
    return min(found, key=_order, default=None)


_BY_TASK: dict[str, Callable[[PredictionsFile], list[ConfidentMistake]]] = {
    "multilabel": _of_several,
    "segmentation": _of_regions,
}
