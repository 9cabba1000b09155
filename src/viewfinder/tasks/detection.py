"""Detection: the classes and boxes of all objects in an image."""

from typing import ClassVar, Protocol, cast

from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import Boxes, View
from viewfinder.models.fcos import DenseDetections
from viewfinder.tasks.base import Predictions, TaskMetrics, VisionTask

_ABSENT = -1


class Detector(Protocol):
    """What the task asks of a detection network besides its raw outputs."""

    def losses(
        self, outputs: DenseDetections, boxes: list[Tensor], labels: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return the terms of the loss."""

    def decode(self, outputs: DenseDetections, size: tuple[int, int]) -> Predictions:
        """Return ``boxes`` [B, K, 4], ``scores`` [B, K] and ``labels`` [B, K]."""


class DetectionMetrics(TaskMetrics):
    """COCO's mean average precision."""

    def __init__(self) -> None:
        self._map = MeanAveragePrecision(backend="faster_coco_eval")
        self._map.warn_on_many_detections = False

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes`` and ``labels``."""
        found = {name: tensor.cpu() for name, tensor in predictions.items()}
        kept = found["scores"] > 0
        names = ("boxes", "scores", "labels")
        detections = [
            {name: found[name][image][kept[image]] for name in names} for image in range(len(kept))
        ]
        truth = [
            {"boxes": boxes.cpu(), "labels": labels.cpu()}
            for boxes, labels in zip(batch["boxes"], batch["labels"], strict=True)
        ]
        self._map.update(detections, truth)

    def compute(self) -> dict[str, float]:
        """Return COCO's figures (``map``, ``map_50``, ``mar_100`` ...), in [0, 1].

        Figures for sizes of which there is no object are left out.
        """
        values = self._map.compute()
        scalars = {name: float(value) for name, value in values.items() if value.numel() == 1}
        return {
            name: value
            for name, value in scalars.items()
            if value != _ABSENT and name.startswith(("map", "mar")) and "per_class" not in name
        }


class Detection(VisionTask):
    """Object detection with whatever losses the detector brings."""

    name: ClassVar[str] = "detection"
    view: ClassVar[type[View]] = Boxes
    monitor: ClassVar[str] = "val/map"

    @property
    def _detector(self) -> Detector:
        return cast(Detector, self.model)

    def losses(self, outputs: DenseDetections, batch: Batch) -> dict[str, Tensor]:
        """Return the detector's losses against ``boxes`` and ``labels``."""
        return self._detector.losses(outputs, batch["boxes"], batch["labels"])

    def decode(self, outputs: DenseDetections, size: tuple[int, int]) -> Predictions:
        """Return ``boxes`` [B, K, 4], ``scores`` [B, K] and ``labels`` [B, K]."""
        return self._detector.decode(outputs, size)

    def new_metrics(self) -> TaskMetrics:
        """Return fresh detection metrics."""
        return DetectionMetrics()
