"""The report on a trained model: metrics, tables and pictures in one folder."""

import json
from collections.abc import Sized
from functools import singledispatch
from pathlib import Path
from typing import cast

from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation import describe
from viewfinder.evaluation.class_observers import (
    DetectedClasses,
    ImageClasses,
    LocatedClasses,
    PixelClasses,
    SegmentedInstances,
)
from viewfinder.evaluation.inference import evaluate
from viewfinder.evaluation.observer import Observer
from viewfinder.evaluation.present_classes import PresentClasses
from viewfinder.evaluation.selection import Gallery
from viewfinder.outputs import new_file, new_folder
from viewfinder.tasks import (
    Classification,
    Detection,
    InstanceSegmentation,
    Localization,
    MultilabelClassification,
    SemanticSegmentation,
    VisionTask,
)

_BOXES_KEY = "white, dashed: true box    coloured: prediction with its class and score"
_OUTLINES_KEY = "white, dashed: true object    filled: predicted object"


def write_report(task: VisionTask, loader: DataLoader[Batch], folder: Path) -> dict[str, float]:
    """Evaluate a trained task and write what there is to say about it.

    ``folder`` gets ``metrics.json`` (flat), ``plots/`` with ``predictions.png``, ``worst.png``
    and (where one class stands against another) ``confusion.png``, and ``tables/`` with
    ``per_class.csv`` and
    (for classification and localization) ``confusion.csv``. They replace those of an earlier
    report once all of them are complete; other files in the folder stay.

    Args:
        task: The trained task.
        loader: The test images, in a fixed order and without augmentation.
        folder: Where to write; made if it does not exist.

    Returns:
        The metrics, sorted by name.

    Raises:
        ViewfinderError: If the network's predictions are not finite.
    """
    observers = observers_for(task, len(cast(Sized, loader.sampler)))
    metrics = dict(sorted(evaluate(task, loader, observers).items()))
    # Exits run backwards: the metrics appear last, when the rest is in its place.
    with (
        new_file(folder / "metrics.json") as file,
        new_folder(folder / "plots") as plots,
        new_folder(folder / "tables") as tables,
    ):
        for observer in observers:
            observer.write(plots, tables)
        text = json.dumps(metrics, indent=2, allow_nan=False)
        file.write_text(text + "\n", encoding="utf-8")
    return metrics


@singledispatch
def observers_for(task: VisionTask, total: int) -> list[Observer]:
    """Return what reports on a kind of task.

    Args:
        task: The task.
        total: Images in the split.

    Raises:
        NotImplementedError: If nothing is known about this kind of task.
    """
    raise NotImplementedError(f"no report for the task {type(task).__name__}")


@observers_for.register
def _(task: Classification, total: int) -> list[Observer]:
    key = "true class → predicted class and its probability"
    gallery = Gallery(
        describe.describe_classification, task.classes, total=total, count=16, key=key
    )
    return [gallery, ImageClasses(task.classes)]


@observers_for.register
def _(task: MultilabelClassification, total: int) -> list[Observer]:
    key = "the classes that are there; where it failed, those that were missed or wrong"
    gallery = Gallery(describe.describe_multilabel, task.classes, total=total, count=16, key=key)
    return [gallery, PresentClasses(task.classes, task.thresholds.tolist())]


@observers_for.register
def _(task: Localization, total: int) -> list[Observer]:
    gallery = Gallery(
        describe.describe_localization, task.classes, total=total, count=16, key=_BOXES_KEY
    )
    return [gallery, LocatedClasses(task.classes)]


@observers_for.register
def _(task: Detection, total: int) -> list[Observer]:
    key = f"{_BOXES_KEY}, from {100 * describe.SHOWN_SCORE:.0f} %"
    gallery = Gallery(describe.describe_detection, task.classes, total=total, count=16, key=key)
    return [gallery, DetectedClasses(task.classes)]


@observers_for.register
def _(task: InstanceSegmentation, total: int) -> list[Observer]:
    key = f"{_OUTLINES_KEY}, from {100 * describe.SHOWN_SCORE:.0f} %"
    gallery = Gallery(describe.describe_instances, task.classes, total=total, count=16, key=key)
    return [gallery, SegmentedInstances(task.classes)]


@observers_for.register
def _(task: SemanticSegmentation, total: int) -> list[Observer]:
    key = "image    |    truth    |    prediction"
    gallery = Gallery(describe.describe_segmentation, task.classes, total=total, count=8, key=key)
    return [gallery, PixelClasses(task.classes)]
