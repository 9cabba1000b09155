"""Everything about where a model fails, written into the folders of its report."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.confident_mistakes import write_confident_mistakes
from viewfinder.evaluation.analysis.confused_pairs import confused_pairs, write_confused_pairs
from viewfinder.evaluation.analysis.object_mistakes import object_mistakes
from viewfinder.evaluation.analysis.object_pictures import write_object_mistakes
from viewfinder.evaluation.analysis.slice_figures import RESAMPLES, slice_figures, write_slices
from viewfinder.evaluation.analysis.slices_chart import draw_slices
from viewfinder.evaluation.analysis.suspected_labels import (
    suspected_labels,
    write_suspected_labels,
)
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.measures.measure import Measure
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.selection import Images


def write_analysis(
    predictions: PredictionsFile,
    measure: Measure,
    metrics: Mapping[str, Figure],
    images: Images,
    plots: Path,
    tables: Path,
    *,
    training_images: NDArray[np.int64] | None,
    resamples: int,
) -> None:
    """Write confused pairs, confident mistakes, missed and invented objects, slices and suspects.

    Args:
        predictions: The predictions for a split.
        measure: Their measure.
        metrics: The metrics of all images.
        images: Returns the batch of the images of some rows.
        plots: The folder for pictures.
        tables: The folder for tables.
        training_images: Number of training images that show each class, [C], if it is known.
        resamples: How many draws intervals come from at most.
    """
    objects = "predicted_scores" in predictions.names
    mistakes = object_mistakes(predictions) if objects else None
    pairs = confused_pairs(predictions, measure, mistakes)
    write_confused_pairs(tables / "confused_pairs.csv", pairs, predictions.info.classes)
    if mistakes is not None:
        write_object_mistakes(predictions, mistakes, images, plots, tables)
    else:
        write_confident_mistakes(predictions, images, plots, tables)
    found = slice_figures(predictions, measure, metrics, training_images, min(resamples, RESAMPLES))
    write_slices(tables / "slices.csv", found)
    if any(item.kind != "all" for item in found):
        draw_slices(plots / "slices.png", found)
    suspects = suspected_labels(predictions, measure, mistakes)
    write_suspected_labels(predictions, suspects, images, plots, tables)
