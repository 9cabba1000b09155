"""Semantic segmentation: the class of each pixel."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import BACKGROUND, SemanticMask, View
from viewfinder.tasks.base import Predictions, TaskMetrics, VisionTask

IGNORE = 255


class SegmentationMetrics(TaskMetrics):
    """Intersection over union of each class over all pixels of all images."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        count = len(classes)
        self._metrics = MetricCollection(
            {
                "iou": MulticlassJaccardIndex(count, average="none", ignore_index=IGNORE),
                "pixel_accuracy": MulticlassAccuracy(count, average="micro", ignore_index=IGNORE),
            },
            compute_groups=False,
        )

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C, H, W] for a batch with ``mask`` [B, H, W]."""
        self._metrics.update(predictions["probabilities"].argmax(dim=1).cpu(), batch["mask"].cpu())

    def compute(self) -> dict[str, float]:
        """Return ``mean_iou`` over the classes without background, and ``pixel_accuracy``."""
        values = self._metrics.compute()
        by_class = dict(zip(self._classes, values["iou"].tolist(), strict=True))
        counted = [iou for name, iou in by_class.items() if name != BACKGROUND]
        return {
            "mean_iou": sum(counted) / len(counted),
            "pixel_accuracy": float(values["pixel_accuracy"]),
        }


class SemanticSegmentation(VisionTask):
    """Cross-entropy, with Dice on top if asked for.

    Args:
        dice_weight: Weight of the Dice loss beside the cross-entropy; 0 leaves it out.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "segmentation"
    view: ClassVar[type[View]] = SemanticMask
    monitor: ClassVar[str] = "val/mean_iou"

    def __init__(self, *arguments: Any, dice_weight: float = 0.0, **options: Any) -> None:
        from segmentation_models_pytorch.losses import DiceLoss

        super().__init__(*arguments, **options)
        self.dice_weight = dice_weight
        self._dice = DiceLoss(mode="multiclass", ignore_index=IGNORE)

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of logits [B, C, H, W] against ``mask`` [B, H, W]."""
        mask = batch["mask"]
        losses = {"cross_entropy": F.cross_entropy(outputs, mask, ignore_index=IGNORE)}
        if self.dice_weight:
            losses["dice"] = self.dice_weight * self._dice(outputs, mask)
        return losses

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C, H, W]."""
        return {"probabilities": outputs.softmax(dim=1)}

    def new_metrics(self) -> TaskMetrics:
        """Return fresh segmentation metrics."""
        return SegmentationMetrics(self.classes)
