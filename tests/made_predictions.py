"""Tables of predictions that say what a test wants, with pictures to go with them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.analysis.object_mistakes import object_mistakes
from viewfinder.evaluation.analysis.slice_figures import slice_figures, write_slices
from viewfinder.evaluation.analysis.suspected_labels import suspected_labels
from viewfinder.evaluation.intervals import figures
from viewfinder.evaluation.measures.opening import open_measure
from viewfinder.evaluation.page import Facts
from viewfinder.evaluation.predictions.columns import PredictionsInfo, predictions_schema
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import decode_map, encode_map
from viewfinder.evaluation.report import write_report

SIZE = 64
Row = dict[str, Any]
FACTS = Facts(
    name="cats <against> dogs",
    task="classification",
    dataset="pets",
    images=120,
    groups=40,
    model={"network": "LayerNetwork", "parameters": "1,000"},
    lineage={"commit": "abc"},
    command="dvc repro evaluate@pets",
)


def made(
    folder: Path,
    task: str,
    classes: list[str],
    rows: Sequence[Row],
    thresholds: list[float] | None = None,
) -> PredictionsFile:
    """Write rows as a table of predictions; what they lack gets a value that does not matter."""
    info = PredictionsInfo(task, classes, "made", "0" * 64, thresholds)
    common = {"group": None, "height": SIZE, "width": SIZE, "brightness": 0.5}
    full = [
        {"id": f"{number:03d}.png", "loss": 0.0, "score": float(number), **common, **row}
        for number, row in enumerate(rows)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictions.parquet"
    pq.write_table(pa.Table.from_pylist(full, schema=predictions_schema(info)), path)
    return PredictionsFile(path)


def report(file: PredictionsFile) -> Path:
    """Write the report on a table of predictions, over noise; return its folder."""

    def images(indices: Sequence[int]) -> Batch:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 255, (len(indices), 3, SIZE, SIZE), generator=generator)
        rows = file.chosen(indices)
        batch: Batch = {"image": noise.to(torch.uint8), "id": [row["id"] for row in rows]}
        if "label" in rows[0]:
            batch["label"] = torch.tensor([row["label"] for row in rows])
        if "box" in rows[0]:
            batch["box"] = torch.tensor([row["box"] for row in rows])
        if "boxes" in rows[0]:
            batch["boxes"] = [torch.tensor(row["boxes"]).reshape(-1, 4) for row in rows]
            batch["labels"] = [torch.tensor(row["labels"], dtype=torch.int64) for row in rows]
        elif "mask" in rows[0]:
            batch["mask"] = torch.stack([_mask(row["mask"]) for row in rows])
        elif "labels" in rows[0]:
            batch["labels"] = torch.tensor([row["labels"] for row in rows]).float()
        return batch

    folder = file.path.parent
    write_report(file, images, folder, resamples=20)
    return folder


def _mask(encoded: bytes) -> torch.Tensor:
    return torch.from_numpy(decode_map(encoded).astype(np.int64))


def sliced(
    file: PredictionsFile, training_images: list[int] | None = None, resamples: int = 20
) -> list[dict[str, str]]:
    """Return the rows of ``slices.csv``."""
    measure = open_measure(file)
    counts = None if training_images is None else np.array(training_images)
    metrics = figures(measure, file.groups(), resamples)
    path = file.path.with_name("slices.csv")
    write_slices(path, slice_figures(file, measure, metrics, counts, resamples))
    return read(path)


def suspected(file: PredictionsFile) -> list[tuple[str, str, str]]:
    """Return the image, the given and the suggested label of every suspicion."""
    mistakes = object_mistakes(file) if "predicted_scores" in file.names else None
    found = suspected_labels(file, open_measure(file), mistakes)
    ids = file.table.column("id").to_pylist()
    return [(ids[item.row], item.given, item.suggested) for item in found]


def objects(
    true: Sequence[tuple[int, Sequence[float]]],
    found: Sequence[tuple[int, float, Sequence[float]]],
    **others: Any,
) -> Row:
    """Return a row of a detector: true classes and boxes; found classes, scores and boxes."""
    return {
        "boxes": [list(map(float, box)) for _, box in true],
        "labels": [label for label, _ in true],
        "crowd": [False] * len(true),
        "predicted_boxes": [list(map(float, box)) for *_, box in found],
        "predicted_labels": [label for label, *_ in found],
        "predicted_scores": [score for _, score, _ in found],
        **others,
    }


def masks(
    true: NDArray[np.integer], found: NDArray[np.integer], percent: NDArray[np.integer]
) -> Row:
    """Return a row of segmentation; the true class has what its prediction leaves of 100 %."""
    wrong = (true != IGNORE) & (true != found)
    maps = {
        "mask": true,
        "predicted_mask": found,
        "confidence": percent,
        "given_confidence": np.where(wrong, 100 - percent, IGNORE),
    }
    return {name: encode_map(torch.from_numpy(values)) for name, values in maps.items()}


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read one of a report's tables."""
    return read(folder / "tables" / f"{name}.csv")


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
