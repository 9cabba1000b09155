"""Semantic segmentation: the class of each pixel."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import CrossEntropyLoss
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import BACKGROUND, SemanticMask, View
from viewfinder.tasks.base import Predictions, TaskMetrics, VisionTask
from viewfinder.tasks.losses import Term, WeightedSum

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
    """A class for each pixel, by a weighted sum of losses.

    Args:
        losses: Weight of each term: ``cross_entropy``, ``dice``, ``lovasz`` (M. Berman et al.,
            The Lovász-Softmax loss, CVPR 2018) and ``focal`` (T.-Y. Lin et al., Focal Loss for
            Dense Object Detection, ICCV 2017).
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "segmentation"
    view: ClassVar[type[View]] = SemanticMask
    monitor: ClassVar[str] = "val/mean_iou"
    can_mirror: ClassVar[bool] = True

    def __init__(self, *arguments: Any, losses: Mapping[str, float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._losses = WeightedSum(losses, _terms(), task=self.name)

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of logits [B, C, H, W] against ``mask`` [B, H, W]."""
        return self._losses(outputs, batch["mask"])

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C, H, W]."""
        return {"probabilities": outputs.softmax(dim=1)}

    def new_metrics(self) -> TaskMetrics:
        """Return fresh segmentation metrics."""
        return SegmentationMetrics(self.classes)


def _terms() -> dict[str, Term]:
    from segmentation_models_pytorch.losses import DiceLoss, FocalLoss, LovaszLoss

    return {
        "cross_entropy": CrossEntropyLoss(ignore_index=IGNORE),
        "dice": DiceLoss("multiclass", ignore_index=IGNORE),
        "lovasz": LovaszLoss("multiclass", ignore_index=IGNORE),
        "focal": FocalLoss("multiclass", ignore_index=IGNORE),
    }
