"""Multi-label classification: any number of classes an image."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from viewfinder.data.loading.class_counts import class_counts
from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import ClassesPresent, View
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.measuring import Predictions, TaskMetrics
from viewfinder.tasks.thresholds import UNDECIDED, best_threshold


class _Gathered(Metric):
    """Keeps the predictions of all images, over all processes."""

    probabilities: list[Tensor]
    present: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "present", "labels"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, present: Tensor, labels: Tensor) -> None:
        self.probabilities.append(probabilities)
        self.present.append(present)
        self.labels.append(labels)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = dim_zero_cat(self.probabilities)
        return probabilities, dim_zero_cat(self.present), dim_zero_cat(self.labels)


class MultilabelMetrics(TaskMetrics):
    """How well the classes present are ranked and told over all images."""

    def __init__(self) -> None:
        self._gathered = _Gathered()
        self._thresholds: Tensor | None = None

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` and ``present`` [B, C] for a batch with ``labels`` [B, C]."""
        self._gathered.update(
            predictions["probabilities"].cpu().float(),
            predictions["present"].cpu().int(),
            batch["labels"].cpu().int(),
        )

    def find_thresholds(self) -> Tensor:
        """Return the thresholds [C] of the largest F1, and decide by them from now on."""
        probabilities, _, labels = self._gathered.compute()
        self._thresholds = best_thresholds(probabilities, labels)
        return self._thresholds

    def compute(self) -> dict[str, float]:
        """Return ``macro_average_precision``, ``macro_f1`` and ``micro_f1``, in [0, 1].

        Means are over the classes that occur: present, or (for F1) told. Of none they are 0.
        """
        probabilities, present, labels = self._gathered.compute()
        if self._thresholds is not None:
            present = (probabilities >= self._thresholds).int()
        precisions = average_precisions(probabilities, labels)[labels.any(dim=0)]
        hits = (present & labels).sum(dim=0)
        sizes = present.sum(dim=0) + labels.sum(dim=0)
        shown = sizes > 0
        return {
            "macro_average_precision": _mean(precisions),
            "macro_f1": _mean(2 * hits[shown] / sizes[shown]),
            "micro_f1": float(2 * hits.sum() / sizes.sum().clamp(min=1)),
        }


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def average_precisions(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the average precision of each class [C]; 0 for a class that does not occur.

    Args:
        probabilities: Of each image and class, [N, C].
        labels: Which classes are present, int [N, C].
    """
    found = torch.zeros(labels.shape[1])
    for label in labels.any(dim=0).nonzero().flatten().tolist():
        found[label] = binary_average_precision(probabilities[:, label], labels[:, label])
    return found


def best_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return for each class the threshold of the largest F1, float32 [C]; see ``best_threshold``.

    Args:
        probabilities: Of each image and class, [N, C].
        labels: Which classes are present, int [N, C].
    """
    columns = zip(probabilities.T, labels.T, strict=True)
    return torch.tensor([best_threshold(*column, int(column[1].sum())) for column in columns])


class MultilabelClassification(VisionTask):
    """Sigmoid classification with binary cross-entropy and a threshold for each class.

    Each validation finds the thresholds anew; those of the best epoch stay with its weights.

    Args:
        pos_weight: ``balanced`` weighs the images that hold a class by how many do not, as the
            training split has them; None weighs all alike.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "multilabel"
    view: ClassVar[type[View]] = ClassesPresent
    monitor: ClassVar[str] = "val/macro_average_precision"
    can_mirror: ClassVar[bool] = True
    measured: ClassVar[tuple[str, ...]] = ("thresholds",)
    thresholds: Tensor
    weights: Tensor

    def __init__(
        self, *arguments: Any, pos_weight: Literal["balanced"] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.pos_weight = pos_weight
        count = len(self.classes)
        self.register_buffer("thresholds", torch.full((count,), UNDECIDED))
        self.register_buffer("weights", torch.ones(count), persistent=False)

    def learn_from(self, split: SplitFile) -> None:
        """Take the weight of each class from the training split."""
        if self.pos_weight is None:
            return
        present = torch.from_numpy(class_counts(split)).float()
        absent = len(split) - present
        self.weights.copy_((absent / present.clamp(min=1)).where(present > 0, 1.0))

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the binary cross-entropy of logits [B, C] against ``labels`` [B, C]."""
        loss = F.binary_cross_entropy_with_logits(outputs, batch["labels"], pos_weight=self.weights)
        return {"cross_entropy": loss}

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C] and whether each class is ``present``, bool [B, C]."""
        return self._decide(outputs.sigmoid())

    def merge(self, predictions: Predictions, mirrored: Predictions, width: int) -> Predictions:
        """Return the mean probabilities and what is present by them."""
        return self._decide((predictions["probabilities"] + mirrored["probabilities"]) / 2)

    def _decide(self, probabilities: Tensor) -> Predictions:
        return {"probabilities": probabilities, "present": probabilities >= self.thresholds}

    def on_validation_epoch_end(self) -> None:
        """Find the thresholds, then log the metrics."""
        assert isinstance(self._validation, MultilabelMetrics)
        self.thresholds.copy_(self._validation.find_thresholds())
        super().on_validation_epoch_end()

    def new_metrics(self) -> TaskMetrics:
        """Return fresh multi-label metrics."""
        return MultilabelMetrics()
