"""Watching how the classes fare where an image may hold several."""

from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.observer import write_table
from viewfinder.evaluation.per_class import PRECISION_RECALL, Row, rounded
from viewfinder.tasks import Predictions
from viewfinder.tasks.multilabel import average_precisions


class PresentClasses:
    """Any number of classes an image: ``per_class.csv``.

    Args:
        classes: Class names.
        thresholds: Probability from which each class counts as present.
    """

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float]) -> None:
        self._classes = classes
        self._thresholds = thresholds
        self._probabilities: list[Tensor] = []
        self._told: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` and ``present`` [B, C] for a batch with ``labels`` [B, C]."""
        self._probabilities.append(predictions["probabilities"])
        self._told.append(predictions["present"].int())
        self._labels.append(batch["labels"].int())

    def write(self, plots: Path, tables: Path) -> None:
        """Write average precision, and precision, recall and F1 at its threshold, of each class."""
        labels, told = torch.cat(self._labels), torch.cat(self._told)
        precision, recall, f1, counts = precision_recall_fscore_support(
            labels.numpy(), told.numpy(), average=None, zero_division=0
        )
        areas = average_precisions(torch.cat(self._probabilities), labels).tolist()
        columns = zip(
            self._classes, counts, areas, self._thresholds, precision, recall, f1, strict=True
        )
        rows: list[Row] = [[name, int(count), *rounded(rest)] for name, count, *rest in columns]
        header = ["class", "count", "average_precision", "threshold", *PRECISION_RECALL]
        write_table(tables / "per_class.csv", header, rows)
