"""Semantic segmentation: the class of each pixel."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import BACKGROUND, SemanticMask, View
from viewfinder.data.schema import IGNORE
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.losses import Term, WeightedSum
from viewfinder.tasks.measuring import Predictions, TaskMetrics

_LARGEST_WEIGHT = 10.0
_MOST_COUNTED = 500


class SegmentationMetrics(TaskMetrics):
    """Intersection over union of each class over all pixels of all images."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        count = len(classes)
        self._metrics = MetricCollection(
            {
                "iou": MulticlassJaccardIndex(
                    count, average="none", ignore_index=IGNORE, zero_division=math.nan
                ),
                "pixel_accuracy": MulticlassAccuracy(count, average="micro", ignore_index=IGNORE),
            },
            compute_groups=False,
        )

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C, H, W] for a batch with ``mask`` [B, H, W]."""
        self._metrics.update(predictions["probabilities"].argmax(dim=1).cpu(), batch["mask"].cpu())

    def compute(self) -> dict[str, float]:
        """Return ``mean_iou`` over the classes without background, and ``pixel_accuracy``.

        A class that neither truth nor prediction shows has no IoU and is left out of the mean.
        Where that leaves none, nothing was missed and nothing invented: the mean is 1, since a
        training needs a number to choose its epoch by. (The test metric is left blank there.)
        """
        values = self._metrics.compute()
        by_class = dict(zip(self._classes, values["iou"].tolist(), strict=True))
        counted = [
            iou for name, iou in by_class.items() if name != BACKGROUND and not math.isnan(iou)
        ]
        return {
            "mean_iou": sum(counted) / len(counted) if counted else 1.0,
            "pixel_accuracy": float(values["pixel_accuracy"]),
        }


class SemanticSegmentation(VisionTask):
    """A class for each pixel, by a weighted sum of losses.

    Args:
        losses: Weight of each term: ``cross_entropy``, ``dice``, ``lovasz`` (M. Berman et al.,
            The Lovász-Softmax loss, CVPR 2018) and ``focal`` (T.-Y. Lin et al., Focal Loss for
            Dense Object Detection, ICCV 2017).
        class_weights: ``balanced`` weighs each class in the cross-entropy by the median share of a
            class over its own share of the training pixels, at most 10 (D. Eigen, R. Fergus, ICCV
            2015); None weighs all pixels alike.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "segmentation"
    view: ClassVar[type[View]] = SemanticMask
    monitor: ClassVar[str] = "val/mean_iou"
    can_mirror: ClassVar[bool] = True

    weights: Tensor

    def __init__(
        self,
        *arguments: Any,
        losses: Mapping[str, float],
        class_weights: Literal["balanced"] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.class_weights = class_weights
        self.register_buffer("weights", torch.ones(len(self.classes)), persistent=False)
        terms = {"cross_entropy": self._cross_entropy, **_terms()}
        self._losses = WeightedSum(losses, terms, task=self.name)

    def learn_from(self, split: SplitFile) -> None:
        """Take the weight of each class from the pixels of the training split."""
        if self.class_weights is not None:
            shares = _pixel_shares(split, len(self.classes))
            weights = shares[shares > 0].median() / shares.clamp(min=1e-9)
            self.weights.copy_(weights.clamp(max=_LARGEST_WEIGHT).where(shares > 0, 1.0))

    def _cross_entropy(self, outputs: Tensor, mask: Tensor) -> Tensor:
        weight = None if self.class_weights is None else self.weights
        return F.cross_entropy(outputs, mask, weight=weight, ignore_index=IGNORE)

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
        "dice": DiceLoss("multiclass", ignore_index=IGNORE),
        "lovasz": LovaszLoss("multiclass", ignore_index=IGNORE),
        "focal": FocalLoss("multiclass", ignore_index=IGNORE),
    }


def _pixel_shares(split: SplitFile, num_classes: int) -> Tensor:
    """Return each class's share of the pixels, float32 [C], over images spread through a split."""
    view = SemanticMask()
    counts = np.zeros(IGNORE + 1, np.int64)
    for index in np.linspace(0, len(split) - 1, min(len(split), _MOST_COUNTED)).astype(int):
        mask = view.sample(split.row(int(index), view.columns)).mask
        assert mask is not None
        counts += np.bincount(mask.ravel(), minlength=len(counts))
    pixels = torch.from_numpy(counts[:num_classes]).float()
    return pixels / pixels.sum().clamp(min=1)
