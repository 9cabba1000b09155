"""Predictions and reports of tasks under test."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch, SplitDataset, collate
from viewfinder.evaluation.measures.opening import open_measure
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.judging import write_predictions
from viewfinder.evaluation.report import write_report
from viewfinder.outputs import new_folder
from viewfinder.tasks import VisionTask


def predicted(
    task: VisionTask,
    loader: DataLoader[Any],
    folder: Path,
    groups: Sequence[str | None] | None = None,
) -> PredictionsFile:
    """Write the predictions for a loader's images into a folder."""
    info = PredictionsInfo(
        task=task.name,
        classes=task.classes,
        dataset="made",
        digest="0" * 64,
        **task.measured_values,
    )
    images: Any = loader.dataset
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictions.parquet"
    write_predictions(task, loader, path, info, groups or [None] * len(images))
    return PredictionsFile(path)


def judged(
    task: VisionTask, loader: DataLoader[Any], folder: Path, resamples: int = 20
) -> dict[str, float]:
    """Write predictions and the report on them; return the metrics that are defined."""
    images: Any = loader.dataset

    def chosen(indices: Sequence[int]) -> Batch:
        if isinstance(images, SplitDataset):
            return images.__getitems__([(0, row) for row in indices])
        return collate([images[row] for row in indices])

    with new_folder(folder.with_name(f"{folder.name}-predictions")) as draft:
        found = predicted(task, loader, draft)
        metrics = write_report(found, chosen, folder, resamples)
        shutil.copy(found.path, folder)
    return {name: figure.value for name, figure in metrics.items() if figure.value is not None}


def tabled(task: VisionTask, loader: DataLoader[Any], folder: Path) -> dict[str, float]:
    """As ``judged``, without galleries and intervals, which take longest."""
    measure = open_measure(predicted(task, loader, folder))
    for name in ("plots", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    measure.write(folder / "plots", folder / "tables")
    metrics = measure.headline(np.ones(measure.images)) | measure.others()
    return {name: value for name, value in metrics.items() if not np.isnan(value)}
