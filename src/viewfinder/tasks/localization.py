"""Localization: the class and the box of the one object in an image."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.detection import intersection_over_union
from torchvision.ops import (
    box_convert,
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import SingleBox, View
from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.tasks.losses import Term, WeightedSum
from viewfinder.tasks.measuring import Predictions, TaskMetrics
from viewfinder.tasks.temperature import Calibrated

_GOOD_IOU = 0.5


class LocalizationMetrics(TaskMetrics):
    """How often the class is right, and how well the box fits."""

    def __init__(self, num_classes: int) -> None:
        self._missing = max(2 - num_classes, 0)  # to the fewest classes that torchmetrics takes
        self._accuracy = MulticlassAccuracy(num_classes + self._missing, average="micro")
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
        self._accuracy.update(F.pad(probabilities, (0, self._missing)), labels)
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


class Localization(Calibrated):
    """A class and a box, by a weighted sum of losses.

    Boxes are compared as shares of the image.

    Args:
        losses: Weight of each term: ``cross_entropy`` for the class; ``mse`` and ``l1`` between
            centre, width and height, and ``giou``, ``diou`` and ``ciou`` (H. Rezatofighi et al.,
            Generalized Intersection over Union, CVPR 2019; Z. Zheng et al., Distance-IoU Loss,
            AAAI 2020) for the box.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "localization"
    view: ClassVar[type[View]] = SingleBox
    monitor: ClassVar[str] = "val/joint_accuracy"
    can_mirror: ClassVar[bool] = True

    def __init__(self, *arguments: Any, losses: Mapping[str, float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._losses = WeightedSum(losses, _TERMS, task=self.name)

    def losses(self, outputs: RawLocalization, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms for ``label`` [B] and ``box`` [B, 4] in pixels."""
        height, width = batch["image"].shape[-2:]
        corners = batch["box"] / _pixels(height, width, batch["box"])
        return self._losses(outputs, _Target(batch["label"], corners))

    def logits(self, outputs: RawLocalization) -> Tensor:
        """Return the class logits."""
        return outputs.logits

    def decode(self, outputs: RawLocalization, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C] and ``boxes`` [B, 4], corners in pixels."""
        boxes = box_convert(outputs.boxes, "cxcywh", "xyxy").clamp(0, 1)
        return {
            "probabilities": self.probabilities(outputs.logits),
            "boxes": boxes * _pixels(*size, boxes),
        }

    def new_metrics(self) -> TaskMetrics:
        """Return fresh localization metrics."""
        return LocalizationMetrics(len(self.classes))


def _pixels(height: int, width: int, like: Tensor) -> Tensor:
    return torch.tensor([width, height, width, height], dtype=like.dtype, device=like.device)


class _Target(NamedTuple):
    label: Tensor
    corners: Tensor

    @property
    def centred(self) -> Tensor:
        return box_convert(self.corners, "xyxy", "cxcywh")


def _class(outputs: RawLocalization, target: _Target) -> Tensor:
    return F.cross_entropy(outputs.logits, target.label)


def _distance(loss: Callable[[Tensor, Tensor], Tensor]) -> Term:
    return lambda outputs, target: loss(outputs.boxes, target.centred)


def _overlap(loss: Callable[..., Tensor]) -> Term:
    def term(outputs: RawLocalization, target: _Target) -> Tensor:
        predicted = box_convert(outputs.boxes, "cxcywh", "xyxy")
        return loss(predicted, target.corners, reduction="mean")

    return term


_TERMS: dict[str, Term] = {
    "cross_entropy": _class,
    "mse": _distance(F.mse_loss),
    "l1": _distance(F.l1_loss),
    "giou": _overlap(generalized_box_iou_loss),
    "diou": _overlap(distance_box_iou_loss),
    "ciou": _overlap(complete_box_iou_loss),
}
