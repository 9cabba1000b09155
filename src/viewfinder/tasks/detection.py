"""Detection: the classes and boxes of all objects in an image."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import Boxes, View
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.matching import ImageObjects, corner_and_size, overlaps
from viewfinder.tasks.measuring import Predictions, Search, TaskMetrics
from viewfinder.tasks.thresholds import UNDECIDED, ThresholdSearch

_ABSENT = -1


class Detector(Protocol):
    """What the task asks of a detection network besides its raw outputs, whatever they are."""

    def losses(self, outputs: Any, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss."""

    def decode(self, outputs: Any, size: tuple[int, int]) -> Predictions:
        """Return ``boxes`` [B, K, 4], ``scores`` [B, K] and ``labels`` [B, K]."""


class DetectionMetrics(TaskMetrics):
    """COCO's mean average precision."""

    def __init__(self) -> None:
        self._map = MeanAveragePrecision(backend="faster_coco_eval")
        self._map.warn_on_many_detections = False

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes`` and ``labels``."""
        self._map.update(without_padding(predictions), with_crowds(batch, "boxes", "labels"))

    def compute(self) -> dict[str, float]:
        """Return COCO's figures (``map``, ``map_50``, ``mar_100`` ...), in [0, 1].

        Figures for sizes of which there is no object are left out.
        """
        return coco_figures(self._map.compute())


class ThresholdedTask(VisionTask):
    """A task with detections, and a score for each class from which on they are told.

    Each validation finds the scores anew; those of the best epoch stay with its weights. Metrics
    and ``predict`` take all detections.
    """

    measured: ClassVar[tuple[str, ...]] = ("thresholds",)
    divisible: ClassVar[bool] = False
    thresholds: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register_buffer("thresholds", torch.full((len(self.classes),), UNDECIDED))

    @staticmethod
    @abstractmethod
    def compare(predictions: Predictions, batch: Batch) -> list[ImageObjects]:
        """Return the objects and detections of each image, and how they overlap."""

    def new_search(self) -> Search:
        """Return a fresh search for the thresholds."""
        return ThresholdSearch(len(self.classes), self.compare)


class Detection(ThresholdedTask):
    """Object detection with whatever losses the detector brings."""

    name: ClassVar[str] = "detection"
    view: ClassVar[type[View]] = Boxes
    monitor: ClassVar[str] = "val/map"

    @property
    def _detector(self) -> Detector:
        return cast(Detector, self.model)

    def losses(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the detector's losses against ``boxes`` and ``labels``."""
        return self._detector.losses(outputs, batch["boxes"], batch["labels"])

    def decode(self, outputs: Any, size: tuple[int, int]) -> Predictions:
        """Return ``boxes`` [B, K, 4], ``scores`` [B, K] and ``labels`` [B, K]."""
        return self._detector.decode(outputs, size)

    def new_metrics(self) -> TaskMetrics:
        """Return fresh detection metrics."""
        return DetectionMetrics()

    @staticmethod
    def compare(predictions: Predictions, batch: Batch) -> list[ImageObjects]:
        """Return the objects and detections of each image, with the overlaps of their boxes."""
        truth = with_crowds(batch, "boxes", "labels")
        return [
            compared(found, true, *(corner_and_size(side["boxes"]) for side in (found, true)))
            for found, true in zip(without_padding(predictions), truth, strict=True)
        ]


def without_padding(predictions: Predictions) -> list[Predictions]:
    """Divide padded detections of a batch into those of each image, on the CPU."""
    found = {name: tensor.cpu() for name, tensor in predictions.items()}
    kept = found["scores"] > 0
    return [
        {name: tensor[image][kept[image]] for name, tensor in found.items()}
        for image in range(len(kept))
    ]


def with_crowds(batch: Batch, *names: str) -> list[Predictions]:
    """Return the targets of each image's objects and, behind them, of its crowds, on the CPU.

    Args:
        batch: Lists of targets an image; those of crowds, where it has them, as ``crowd_…``.
        names: The targets, ``boxes`` among them.

    Returns:
        For each image the named targets and ``iscrowd``, int64 [N], as torchmetrics takes them.
    """
    truth = []
    for index, boxes in enumerate(batch["boxes"]):
        crowds = {name: batch[f"crowd_{name}"][index] for name in names if "crowd_boxes" in batch}
        joined = {
            name: torch.cat([batch[name][index], *([crowds[name]] if crowds else [])]).cpu()
            for name in names
        }
        joined["iscrowd"] = (torch.arange(len(joined["boxes"])) >= len(boxes)).long()
        truth.append(joined)
    return truth


def compared(found: Predictions, true: Predictions, regions: Any, others: Any) -> ImageObjects:
    """Return the objects and detections of one image, of any size.

    Args:
        found: The detections.
        true: The objects, as ``with_crowds`` returns them.
        regions: Where the detections are, for ``overlaps``.
        others: Where the objects are.
    """
    crowd = true["iscrowd"].bool().numpy()
    return ImageObjects(
        labels=true["labels"].numpy(),
        crowd=crowd,
        areas=np.zeros(len(crowd)),
        found_labels=found["labels"].numpy(),
        scores=found["scores"].double().numpy(),
        found_areas=np.zeros(len(found["scores"])),
        overlaps=overlaps(regions, others, crowd),
    )


def coco_figures(values: Mapping[str, Tensor], prefix: str = "") -> dict[str, float]:
    """Return the figures of torchmetrics' ``MeanAveragePrecision`` that there are.

    Args:
        values: What it computed.
        prefix: What the wanted figures' names begin with; it is left out.
    """
    scalars = {
        name.removeprefix(prefix): float(value)
        for name, value in values.items()
        if name.startswith(prefix) and value.numel() == 1
    }
    return {
        name: value
        for name, value in scalars.items()
        if value != _ABSENT and name.startswith(("map", "mar")) and "per_class" not in name
    }
