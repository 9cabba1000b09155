"""Classification: one class an image."""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
)

from viewfinder.data.loading.class_counts import class_counts
from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import ClassLabel, View
from viewfinder.tasks.measuring import Predictions, TaskMetrics
from viewfinder.tasks.temperature import Calibrated


class ClassificationMetrics(TaskMetrics):
    """Accuracy and macro F1 over all images; for two classes, how well the second is found."""

    def __init__(self, num_classes: int) -> None:
        self._missing = max(2 - num_classes, 0)  # to the fewest classes that torchmetrics takes
        count = num_classes + self._missing
        self._metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(count, average="micro"),
                "macro_f1": MulticlassF1Score(count, average="macro"),
            }
        )
        binary: dict[str, Metric | MetricCollection] = {
            "f1": BinaryF1Score(),
            "average_precision": BinaryAveragePrecision(),
            "roc_auc": BinaryAUROC(),
        }
        self._binary = MetricCollection(binary) if num_classes == 2 else None

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C] for a batch with ``label`` [B]."""
        probabilities, labels = predictions["probabilities"].cpu(), batch["label"].cpu()
        self._metrics.update(F.pad(probabilities, (0, self._missing)), labels)
        if self._binary is not None:
            self._binary.update(probabilities[:, 1], labels)

    def compute(self) -> dict[str, float]:
        """Return ``accuracy`` and ``macro_f1``, in [0, 1].

        Two classes have ``f1``, ``average_precision`` and ``roc_auc`` of the second one besides;
        what is not defined on these images is left out.
        """
        values = self._metrics.compute()
        if self._binary is not None:
            values |= self._binary.compute()
        figures = {name: float(value) for name, value in values.items()}
        return {name: value for name, value in figures.items() if not math.isnan(value)}


class Classification(Calibrated):
    """Softmax classification with cross-entropy.

    Args:
        label_smoothing: Share of each target that is spread over all classes.
        class_weights: ``balanced`` weighs each class by the inverse of its number of training
            images; None weighs all images alike.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "classification"
    view: ClassVar[type[View]] = ClassLabel
    monitor: ClassVar[str] = "val/accuracy"
    can_mirror: ClassVar[bool] = True
    weights: Tensor

    def __init__(
        self,
        *arguments: Any,
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.register_buffer("weights", torch.ones(len(self.classes)), persistent=False)

    def learn_from(self, split: SplitFile) -> None:
        """Take the weight of each class from the training split; their mean over images is 1."""
        if self.class_weights is None:
            return
        counts = torch.from_numpy(class_counts(split)).float()
        occurring = (counts > 0).sum()
        weights = counts.sum() / (occurring * counts.clamp(min=1))
        self.weights.copy_(weights.where(counts > 0, 1.0))

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy of logits [B, C] against ``label``, [B] or shares [B, C]."""
        loss = F.cross_entropy(
            outputs,
            batch["label"],
            weight=None if self.class_weights is None else self.weights,
            label_smoothing=self.label_smoothing,
        )
        return {"cross_entropy": loss}

    def logits(self, outputs: Tensor) -> Tensor:
        """Return the outputs, which are the logits."""
        return outputs

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C]."""
        return {"probabilities": self.probabilities(outputs)}

    def new_metrics(self) -> TaskMetrics:
        """Return fresh classification metrics."""
        return ClassificationMetrics(len(self.classes))
