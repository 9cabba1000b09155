"""Classification: one class an image."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import ClassLabel, View
from viewfinder.tasks.base import Predictions, TaskMetrics, VisionTask


class ClassificationMetrics(TaskMetrics):
    """Accuracy and macro F1 over all images."""

    def __init__(self, num_classes: int) -> None:
        self._metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "macro_f1": MulticlassF1Score(num_classes, average="macro"),
            }
        )

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C] for a batch with ``label`` [B]."""
        self._metrics.update(predictions["probabilities"].cpu(), batch["label"].cpu())

    def compute(self) -> dict[str, float]:
        """Return ``accuracy`` and ``macro_f1``, in [0, 1]."""
        return {name: float(value) for name, value in self._metrics.compute().items()}


class Classification(VisionTask):
    """Softmax classification with cross-entropy.

    Args:
        label_smoothing: Share of each target that is spread over all classes.
        arguments: See ``VisionTask``.
    """

    name: ClassVar[str] = "classification"
    view: ClassVar[type[View]] = ClassLabel
    monitor: ClassVar[str] = "val/accuracy"

    def __init__(self, *arguments: Any, label_smoothing: float = 0.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.label_smoothing = label_smoothing

    def losses(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy of logits [B, C] against ``label`` [B]."""
        loss = F.cross_entropy(outputs, batch["label"], label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss}

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> Predictions:
        """Return ``probabilities`` [B, C]."""
        return {"probabilities": outputs.softmax(dim=1)}

    def new_metrics(self) -> TaskMetrics:
        """Return fresh classification metrics."""
        return ClassificationMetrics(len(self.classes))
