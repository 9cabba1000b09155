"""Instance segmentation: the class, box and mask of each object in an image."""

from typing import Any, ClassVar, Protocol, cast

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import Instances, View
from viewfinder.models.mask_rcnn import paste_masks
from viewfinder.tasks.detection import (
    ThresholdedTask,
    coco_figures,
    compared,
    with_crowds,
    without_padding,
)
from viewfinder.tasks.matching import ImageObjects
from viewfinder.tasks.measuring import Predictions, TaskMetrics

_KINDS = {"box_": "bbox_", "mask_": "segm_"}


class InstanceSegmenter(Protocol):
    """What the task asks of a network besides its raw outputs, whatever they are."""

    def losses(
        self, outputs: Any, boxes: list[Tensor], labels: list[Tensor], masks: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return the terms of the loss."""

    def decode(self, outputs: Any, size: tuple[int, int]) -> Predictions:
        """Return ``boxes``, ``scores``, ``labels`` and ``masks``."""


class InstanceMetrics(TaskMetrics):
    """COCO's mean average precision of boxes and of masks."""

    def __init__(self) -> None:
        self._map = MeanAveragePrecision(iou_type=("bbox", "segm"), backend="faster_coco_eval")
        self._map.warn_on_many_detections = False

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes``, ``labels`` and ``masks``."""
        self._map.update(
            pasted_instances(predictions, batch["image"].shape[-2:]),
            instances_with_crowds(batch),
        )

    def compute(self) -> dict[str, float]:
        """Return COCO's figures of masks (``mask_map``, ``mask_map_50`` ...) and of boxes.

        Figures for sizes of which there is no object are left out.
        """
        values = self._map.compute()
        return {
            f"{ours}{name}": value
            for ours, theirs in _KINDS.items()
            for name, value in coco_figures(values, theirs).items()
        }


class InstanceSegmentation(ThresholdedTask):
    """Instance segmentation with whatever losses the network brings.

    The predicted ``masks`` [B, K, M, M] hold for each point of an M x M grid over the detection's
    box the probability that it belongs to the object; ``paste_masks`` brings them into the image.
    """

    name: ClassVar[str] = "instances"
    view: ClassVar[type[View]] = Instances
    monitor: ClassVar[str] = "val/mask_map"

    @property
    def _segmenter(self) -> InstanceSegmenter:
        return cast(InstanceSegmenter, self.model)

    def losses(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the network's losses against ``boxes``, ``labels`` and ``masks``."""
        return self._segmenter.losses(outputs, batch["boxes"], batch["labels"], batch["masks"])

    def decode(self, outputs: Any, size: tuple[int, int]) -> Predictions:
        """Return ``boxes`` [B, K, 4], ``scores`` and ``labels`` [B, K], ``masks`` [B, K, M, M]."""
        return self._segmenter.decode(outputs, size)

    def new_metrics(self) -> TaskMetrics:
        """Return fresh instance metrics."""
        return InstanceMetrics()

    @staticmethod
    def compare(predictions: Predictions, batch: Batch) -> list[ImageObjects]:
        """Return the objects and detections of each image, with the overlaps of their masks."""
        pasted = pasted_instances(predictions, batch["image"].shape[-2:])
        return [
            compared(found, true, *(run_lengths(side["masks"]) for side in (found, true)))
            for found, true in zip(pasted, instances_with_crowds(batch), strict=True)
        ]


def run_lengths(masks: Tensor) -> list[dict[str, Any]]:
    """Encode masks, bool [N, H, W], as COCO's run lengths."""
    columnwise = np.asfortranarray(masks.numpy().astype(np.uint8).transpose(1, 2, 0))
    encoded: list[dict[str, Any]] = coco_mask.encode(columnwise)
    return encoded


def pasted_instances(predictions: Predictions, size: tuple[int, int]) -> list[Predictions]:
    """Divide padded detections into those of each image, with masks bool [N, H, W], on the CPU."""
    return [
        {**found, "masks": paste_masks(found["masks"], found["boxes"], size)}
        for found in without_padding(predictions)
    ]


def instances_with_crowds(batch: Batch) -> list[Predictions]:
    """Return boxes, labels, masks and ``iscrowd`` of each image's objects and crowds."""
    return [
        {**truth, "masks": truth["masks"].bool()}
        for truth in with_crowds(batch, "boxes", "labels", "masks")
    ]


def true_instances(batch: Batch) -> list[Predictions]:
    """Return the boxes, labels and masks, bool [N, H, W], of each image, on the CPU."""
    objects = zip(batch["boxes"], batch["labels"], batch["masks"], strict=True)
    return [
        {"boxes": boxes.cpu(), "labels": labels.cpu(), "masks": masks.cpu().bool()}
        for boxes, labels, masks in objects
    ]
