"""The report on a table of predictions: metrics, tables and pictures in one folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.writing import write_analysis
from viewfinder.evaluation.calibration import draw_reliability, reliability, unscaled
from viewfinder.evaluation.errors import draw_errors, write_errors
from viewfinder.evaluation.figures import Figure, as_values
from viewfinder.evaluation.intervals import RESAMPLES, figures
from viewfinder.evaluation.measures.error_types import error_costs
from viewfinder.evaluation.measures.opening import image_objects, open_measure
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.selection import Images, draw_galleries
from viewfinder.outputs import new_file, new_folder


def write_report(
    predictions: PredictionsFile,
    images: Images,
    folder: Path,
    resamples: int = RESAMPLES,
    training_images: NDArray[np.int64] | None = None,
) -> dict[str, Figure]:
    """Write what there is to say about predictions.

    ``folder`` gets ``metrics.json``, ``plots/`` with ``predictions.png``, ``worst.png``, (where
    one class stands against another) ``confusion.png`` and (for classification and localization)
    ``calibration.png``, and ``tables/`` with ``per_class.csv`` and (for the same two)
    ``confusion.csv``; of detectors also what each kind of mistake costs, ``errors.png`` and
    ``errors.csv``, and ``operating_point.csv``. Where the model fails is told by what
    ``write_analysis`` adds. They replace those of an earlier report once all of them are complete;
    other files in the folder stay.

    Args:
        predictions: The predictions for a split.
        images: Returns the batch of the images of some rows.
        folder: Where to write; made if it does not exist.
        resamples: How many draws the intervals come from.
        training_images: Number of training images that show each class, [C], if it is known.

    Returns:
        The metrics, the most telling first.
    """
    measure = open_measure(predictions)
    metrics = figures(measure, predictions.groups(), resamples)
    # Exits run backwards: the metrics appear last, when the rest is in its place.
    with (
        new_file(folder / "metrics.json") as file,
        new_folder(folder / "plots") as plots,
        new_folder(folder / "tables") as tables,
    ):
        measure.write(plots, tables)
        metrics |= _calibration(predictions, plots)
        _errors(predictions, plots, tables)
        draw_galleries(predictions, images, plots)
        write_analysis(
            predictions,
            measure,
            metrics,
            images,
            plots,
            tables,
            training_images=training_images,
            resamples=resamples,
        )
        text = json.dumps(as_values(metrics), indent=2, allow_nan=False)
        file.write_text(text + "\n", encoding="utf-8")
    return metrics


def _calibration(predictions: PredictionsFile, plots: Path) -> dict[str, Figure]:
    """Draw how far the confidence can be believed, where whole images have probabilities."""
    if "probabilities" not in predictions.names:
        return {}
    temperature = predictions.info.temperature
    found = reliability(_judged(predictions))
    if temperature is None:
        draw_reliability(plots / "calibration.png", {"as trained": found})
        return {"calibration_error": Figure(found.error)}
    before = reliability(
        (labels, unscaled(probabilities, temperature))
        for labels, probabilities in _judged(predictions)
    )
    panels = {"as trained": before, f"with temperature {temperature:.3g}": found}
    draw_reliability(plots / "calibration.png", panels)
    return {
        "calibration_error": Figure(found.error),
        "calibration_error_unscaled": Figure(before.error),
        "temperature": Figure(temperature),
    }


def _judged(
    predictions: PredictionsFile,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the true class and the probabilities of some images at a time, [N] and [N, C]."""
    if predictions.info.task != "multilabel":
        for _, (label, probabilities) in predictions.parts("label", "probabilities"):
            yield label, probabilities
        return
    # Each class of each image is a question of its own: absent or present.
    for _, (labels, probabilities) in predictions.parts("labels", "probabilities"):
        present = probabilities.ravel()
        yield labels.ravel().astype(np.int64), np.stack([1 - present, present], axis=1)


def _errors(predictions: PredictionsFile, plots: Path, tables: Path) -> None:
    """Write what each kind of mistake costs, where objects are looked for."""
    if "predicted_scores" not in predictions.names:
        return
    costs = error_costs(image_objects(predictions), len(predictions.info.classes))
    write_errors(tables / "errors.csv", costs)
    draw_errors(plots / "errors.png", costs)
