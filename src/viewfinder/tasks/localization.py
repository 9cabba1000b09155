"""Localization: the class and the box of the one object in an image."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.detection import intersection_over_union
from torchvision.ops import box_convert, generalized_box_iou_loss

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import SingleBox, View
from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.tasks.base import Predictions, TaskMetrics, VisionTask

_GOOD_IOU = 0.5


class LocalizationMetrics(TaskMetrics):
    """How often the class is right, and how well the box fits."""

    def __init__(self, num_classes: int) -> None:
        self._accuracy = MulticlassAccuracy(num_classes, average="micro")
        self._iou = MeanMetric()
        self._good_iou = MeanMetric()
        self._joint = MeanMetric()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C] and ``boxes`` [B, 4] for ``label`` and ``box``."""
        probabilities = predictions["probabilities"].cpu()
        labels, boxes = batch["label"].cpu(), batch["box"].cpu()
        overlaps = intersection_over_union(predictions["boxes"].cpu(), boxes, aggregate=False)
        iou = overlaps.diagonal()
        good = iou >= _GOOD_IOU
        self._accuracy.update(probabilities, labels)
        self._iou.update(iou)
        self._good_iou.update(good.float())
        self._joint.update((good & (probabilities.argmax(dim=1) == labels)).float())

    def compute(self) -> dict[str, float]:
        """Return ``accuracy``, ``mean_iou``, ``iou_50`` and ``joint_accuracy``, in [0, 1].

        ``iou_50`` is the share of boxes with an IoU of 0.5 or more, ``joint_accuracy`` that of
        images with such a box and the right class.
        """
        metrics = {
            "accuracy": self._accuracy,
            "mean_iou": self._iou,
            "iou_50": self._good_iou,
            "joint_accuracy": self._joint,
        }
        return {name: float(metric.compute()) for name, metric in metrics.items()}


class Localization(VisionTask):
    """Cross-entropy for the class; generalized IoU and L1 for the box.

    Args:
        class_weight: Weight of the cross-entropy.
        iou_weight: Weight of the generalized IoU loss.
        distance_weight: Weight of the L1 distance between boxes as shares of the image.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "localization"
    view: ClassVar[type[View]] = SingleBox
    monitor: ClassVar[str] = "val/joint_accuracy"

    def __init__(
        self,
        *arguments: Any,
        class_weight: float = 1.0,
        iou_weight: float = 2.0,
        distance_weight: float = 5.0,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.class_weight = class_weight
        self.iou_weight = iou_weight
        self.distance_weight = distance_weight

    def losses(self, outputs: RawLocalization, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms for ``label`` [B] and ``box`` [B, 4] in pixels."""
        height, width = batch["image"].shape[-2:]
        target = batch["box"] / _pixels(height, width, batch["box"])
        predicted = box_convert(outputs.boxes, "cxcywh", "xyxy")
        iou = generalized_box_iou_loss(predicted, target, reduction="mean")
        distance = F.l1_loss(outputs.boxes, box_convert(target, "xyxy", "cxcywh"))
        return {
            "class": self.class_weight * F.cross_entropy(outputs.logits, batch["label"]),
            "iou": self.iou_weight * iou,
            "distance": self.distance_weight * distance,
        }

    def decode(self, outputs: RawLocalization, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C] and ``boxes`` [B, 4], corners in pixels."""
        boxes = box_convert(outputs.boxes, "cxcywh", "xyxy").clamp(0, 1)
        return {
            "probabilities": outputs.logits.softmax(dim=1),
            "boxes": boxes * _pixels(*size, boxes),
        }

    def new_metrics(self) -> TaskMetrics:
        """Return fresh localization metrics."""
        return LocalizationMetrics(len(self.classes))


def _pixels(height: int, width: int, like: Tensor) -> Tensor:
    return torch.tensor([width, height, width, height], dtype=like.dtype, device=like.device)
