"""Suspected label errors, as a table and a picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from viewfinder.evaluation.analysis.crops import Crop
from viewfinder.evaluation.analysis.image_suspects import suspects_of_one, suspects_of_several
from viewfinder.evaluation.analysis.mask_suspects import mask_suspects
from viewfinder.evaluation.analysis.object_mistakes import ObjectMistakes
from viewfinder.evaluation.analysis.object_pictures import marks_of
from viewfinder.evaluation.analysis.object_suspects import object_suspects
from viewfinder.evaluation.analysis.region_pictures import MASK_KEY, around_regions
from viewfinder.evaluation.analysis.regions import REGION_COLUMNS
from viewfinder.evaluation.analysis.suspect import Suspect
from viewfinder.evaluation.example import Example, rgb_pixels
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.evaluation.measures.measure import Measure
from viewfinder.evaluation.measures.present_classes import PresentClasses
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.selection import Images, examples_of
from viewfinder.tables import write_table

_MOST = 16
_DECIMALS = 5
_KEY = "given label → what the model takes it for, and the given label's quality from 0 to 1"


def suspected_labels(
    predictions: PredictionsFile, measure: Measure, mistakes: ObjectMistakes | None
) -> list[Suspect]:
    """Return the labels that may be wrong, the most suspicious first.

    Args:
        predictions: The predictions for a split that the model was not trained on.
        measure: Their measure.
        mistakes: The mistakes of a detector, if it is one.
    """
    info = predictions.info
    if info.task == "segmentation":
        return mask_suspects(predictions)
    if mistakes is not None:
        table = measure.by_class()
        column = next(i for i, name in enumerate(table.columns) if name in ("ap", "box_ap"))
        precision = [float(row[2 + column] or 0) for row in table.rows]
        return object_suspects(predictions, mistakes, precision)
    if isinstance(measure, PresentClasses):
        return suspects_of_several(measure.scored, info.classes)
    labels, probabilities = (predictions.column(name) for name in ("label", "probabilities"))
    return suspects_of_one(labels, probabilities, info.classes)


def write_suspected_labels(
    predictions: PredictionsFile,
    suspects: Sequence[Suspect],
    images: Images,
    plots: Path,
    tables: Path,
) -> None:
    """Write ``suspected_labels.csv`` and, if there are any, ``suspected_labels.png`` of the first.

    Args:
        predictions: The predictions for a split.
        suspects: What ``suspected_labels`` returned.
        images: Returns the batch of the images of some rows.
        plots: The folder for the picture.
        tables: The folder for the table.
    """
    masks = predictions.info.task == "segmentation"
    write_table(
        tables / "suspected_labels.csv",
        ["id", "given", "suggested", "quality", *(REGION_COLUMNS if masks else ())],
        (
            [
                predictions.id(item.row),
                item.given,
                item.suggested,
                round(item.quality, _DECIMALS),
                *(item.region.cells if item.region else ()),
            ]
            for item in suspects
        ),
    )
    shown = suspects[:_MOST]
    if not shown:
        return
    examples = [
        replace(example, caption=_caption(item), right=None)
        for example, item in zip(_examples(predictions, images, shown), shown, strict=True)
    ]
    draw_gallery(
        plots / "suspected_labels.png",
        examples,
        predictions.info.classes,
        heading="Labels that may be wrong, most suspicious first",
        key=f"{MASK_KEY}    {_KEY}" if masks else _KEY,
    )


def _caption(suspect: Suspect) -> str:
    said = f"{suspect.given} → {suspect.suggested}? {suspect.quality:.2f}"
    return f"{said} · {suspect.region.area:,} pixels" if suspect.region else said


def _examples(
    predictions: PredictionsFile, images: Images, suspects: Sequence[Suspect]
) -> list[Example]:
    places = [(item.row, item.region) for item in suspects if item.region]
    if places:
        return around_regions(predictions, images, places)
    if "predicted_scores" in predictions.names:
        return _around_objects(predictions, images, suspects)
    return examples_of(predictions, images, [item.row for item in suspects])


def _around_objects(
    predictions: PredictionsFile, images: Images, suspects: Sequence[Suspect]
) -> list[Example]:
    rows = [item.row for item in suspects]
    examples = []
    for item, row, image in zip(
        suspects, predictions.chosen(rows), images(rows)["image"], strict=True
    ):
        pixels = rgb_pixels(image)
        true = [] if item.true is None else [item.true]
        found = [] if item.predicted is None else [item.predicted]
        truth, predicted = marks_of(row, true, "true"), marks_of(row, found, "predicted")
        corners = np.concatenate([truth.boxes, predicted.boxes])
        box = [*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)]
        crop = Crop.around(box, *pixels.shape[:2])
        examples.append(
            Example(
                id=row["id"],
                image=crop.pixels(pixels),
                truth=crop.marks(truth),
                predicted=crop.marks(predicted),
                caption="",
                quality=item.quality,
            )
        )
    return examples
