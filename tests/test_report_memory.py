"""The memory of a report grows with the number of images as their table does, and no faster."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.confused_pairs import confused_pairs
from viewfinder.evaluation.analysis.object_mistakes import object_mistakes
from viewfinder.evaluation.analysis.suspected_labels import suspected_labels
from viewfinder.evaluation.intervals import figures
from viewfinder.evaluation.measures.error_types import error_costs
from viewfinder.evaluation.measures.opening import image_objects, open_measure
from viewfinder.evaluation.predictions.columns import PredictionsInfo, predictions_schema
from viewfinder.evaluation.predictions.file import PredictionsFile

CLASSES = 64
FEW, MANY = 5_000, 20_000
OF_AN_IMAGE = 256  # bytes: its name, its few single values, and what is found on the way
OF_A_BOX = 16
OF_A_ROW = {
    "classification": 4 * CLASSES,
    "multilabel": 4 * CLASSES,
    "localization": 4 * CLASSES + 2 * OF_A_BOX,
}
OBJECTS, FOUND, DETECTIONS = 15, 12, 45  # of an image, a detector's and those of them that are near
# Each report starts from the same state: that of a process which has imported all there is.
REPORTS = """
import gc, os, sys
from pathlib import Path
from made_predictions import report
from viewfinder.evaluation.predictions.file import PredictionsFile

def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

report(PredictionsFile(Path(sys.argv[1])))
gc.collect()
for path in sys.argv[2:]:
    if not os.fork():
        report(PredictionsFile(Path(path)))
        Path(path).with_name("peak").write_text(str(peak()))
        os._exit(0)
for _ in sys.argv[2:]:
    assert os.wait()[1] == 0
"""


def lists(values: NDArray[np.generic]) -> pa.Array:
    ends = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(values.ravel()))


def probabilities(task: str, images: int) -> dict[str, pa.Array]:
    """Truth and predictions of images, right in most cases."""
    generator = np.random.default_rng(images)
    noise = generator.normal(size=(images, CLASSES)).astype(np.float32)
    if task == "multilabel":
        present = generator.random(noise.shape) < 0.1
        shares = 1 / (1 + np.exp(3 - noise - 5 * present))
        columns = {"labels": present, "probabilities": shares, "present": shares >= 0.5}
        return {name: lists(values) for name, values in columns.items()}
    label = generator.integers(0, CLASSES, images)
    powers = np.exp(2 * noise)
    powers[np.arange(images), label] *= np.float32(np.exp(7))
    shares = powers / powers.sum(axis=1, keepdims=True)
    columns = {"label": pa.array(label), "probabilities": lists(shares)}
    if task == "localization":
        true = random_boxes(generator, images, 64)
        columns |= {"box": boxes(true), "predicted_box": boxes(moved(generator, true, 2))}
    return columns


def random_boxes(generator: np.random.Generator, count: int, side: int) -> NDArray[np.float64]:
    """Return boxes in a square, of all sizes that COCO tells apart if it is large enough."""
    corner = generator.uniform(0, side / 2, (count, 2))
    size = generator.choice([20, 60, 120], (count, 1)) * side / 256
    return np.concatenate([corner, corner + size * generator.uniform(0.8, 1, (count, 2))], axis=1)


def moved(
    generator: np.random.Generator, true: NDArray[np.float64], pixels: float
) -> NDArray[np.float64]:
    return true + generator.normal(0, pixels, true.shape)


def boxes(corners: NDArray[np.floating]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(corners.astype(np.float32).ravel()), 4)


def found_objects(images: int) -> dict[str, pa.Array]:
    """Objects and detections: most of the sure ones right, most of the others on nothing."""
    generator = np.random.default_rng(images)

    def of_images(count: int, values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, count, np.int32), values)

    labels = generator.integers(0, 3, (images, OBJECTS))
    true = random_boxes(generator, images * OBJECTS, 256).reshape(images, OBJECTS, 4)
    others = DETECTIONS - FOUND
    invented = random_boxes(generator, images * others, 256).reshape(images, others, 4)
    found = np.concatenate([moved(generator, true[:, :FOUND], 2), invented], axis=1)
    confused = generator.random((images, FOUND)) < 0.1
    taken_for = np.where(confused, (labels[:, :FOUND] + 1) % 3, labels[:, :FOUND])
    others_labels = generator.integers(0, 3, (images, others))
    scores = [generator.beta(5, 2, (images, FOUND)), generator.beta(1, 6, (images, others))]
    return {
        "boxes": of_images(OBJECTS, boxes(true)),
        "labels": of_images(OBJECTS, pa.array(labels.ravel())),
        "crowd": of_images(OBJECTS, pa.array(np.zeros(labels.size, np.bool_))),
        "predicted_boxes": of_images(DETECTIONS, boxes(found)),
        "predicted_labels": lists(np.concatenate([taken_for, others_labels], axis=1)),
        "predicted_scores": lists(np.concatenate(scores, axis=1).astype(np.float32)),
    }


def table_of(folder: Path, task: str, images: int) -> Path:
    """Write predictions in row groups of some hundred images, as ``evaluate`` does."""
    names = [f"class {label}" for label in range(3 if task == "detection" else CLASSES)]
    thresholds = [0.5] * len(names) if task in ("multilabel", "detection") else None
    schema = predictions_schema(PredictionsInfo(task, names, "made", "0" * 64, thresholds))
    generator = np.random.default_rng(0)
    single = {
        "id": [f"{number:06d}.png" for number in range(images)],
        "group": [None] * images,
        "height": [64] * images,
        "width": [64] * images,
        **{
            name: generator.random(images).astype(np.float32)
            for name in ("brightness", "loss", "score")
        },
    }
    folder = folder / f"{task} of {images}"
    folder.mkdir()
    path = folder / "predictions.parquet"
    columns = found_objects(images) if task == "detection" else probabilities(task, images)
    table = pa.table({**single, **columns}, schema=schema)
    pq.write_table(table, path, row_group_size=512)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_memory_of_a_report_grows_no_faster_than_its_table(tmp_path: Path) -> None:
    sizes = [(task, images) for task in OF_A_ROW for images in (FEW, MANY)]
    tables = [table_of(tmp_path, *size) for size in [("localization", 100), *sizes]]
    environment = {
        **os.environ,
        # Arrow's own allocator keeps some tens of megabytes back, more or less by chance.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",  # its threads do not survive a fork
        # Else it is chance into which holes of the heap pictures fit.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    words = [sys.executable, "-c", REPORTS, *map(str, tables)]
    subprocess.run(words, capture_output=True, check=True, env=environment)
    found = [int(path.with_name("peak").read_text()) for path in tables[1:]]
    peaks = dict(zip(sizes, found, strict=True))
    for task, size in OF_A_ROW.items():
        growth = peaks[task, MANY] - peaks[task, FEW]
        assert growth < (MANY - FEW) * (size + OF_AN_IMAGE), task


def test_what_is_kept_of_objects_and_detections_takes_no_more_than_their_table(
    tmp_path: Path,
) -> None:
    few, many = 100, 500
    tables = {images: table_of(tmp_path, "detection", images) for images in (few, many)}
    analyse(PredictionsFile(tables[few]))
    tracemalloc.start()
    try:
        peaks = {images: peak_of_analysis(path) for images, path in tables.items()}
    finally:
        tracemalloc.stop()
    of_table = tables[many].stat().st_size - tables[few].stat().st_size
    assert peaks[many] - peaks[few] < of_table


def peak_of_analysis(table: Path) -> int:
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    analyse(PredictionsFile(table))
    return tracemalloc.get_traced_memory()[1] - before


def analyse(file: PredictionsFile) -> None:
    """Go through all that is computed of a detector; pictures would hide what it takes."""
    measure = open_measure(file)
    figures(measure, file.groups(), resamples=20)
    costs = error_costs(image_objects(file), len(file.info.classes))
    mistakes = object_mistakes(file)
    assert costs["class"].count
    assert any(mistakes.missed())
    assert any(mistakes.invented())
    assert confused_pairs(file, measure, mistakes)
    suspected_labels(file, measure, mistakes)
