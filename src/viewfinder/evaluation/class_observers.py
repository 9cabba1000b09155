"""Watching how the classes fare: confusion and per-class tables of each task."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.confusion import draw_confusion
from viewfinder.evaluation.observer import write_table
from viewfinder.evaluation.per_class import (
    PRECISION_RECALL,
    Row,
    iou_column,
    precision_recall_rows,
    rounded,
)
from viewfinder.tasks import Predictions

_IGNORE = 255


class ImageClasses:
    """One class an image: ``confusion.csv``, ``confusion.png`` and ``per_class.csv``."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._actual: list[int] = []
        self._predicted: list[int] = []

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C] for a batch with ``label`` [B]."""
        self._actual += batch["label"].tolist()
        self._predicted += predictions["probabilities"].argmax(dim=1).tolist()

    def write(self, plots: Path, tables: Path) -> None:
        """Write the confusion, one row an image, its heat map, and the figures by class."""
        names = self._classes
        pairs = zip(self._actual, self._predicted, strict=True)
        write_table(
            tables / "confusion.csv",
            ["actual", "predicted"],
            ([names[actual], names[predicted]] for actual, predicted in pairs),
        )
        matrix = confusion_matrix(self._actual, self._predicted, labels=range(len(names)))
        draw_confusion(plots / "confusion.png", matrix, names, unit="images")
        self._write_per_class(tables / "per_class.csv", matrix)

    def _write_per_class(self, path: Path, matrix: NDArray[np.int64]) -> None:
        rows = precision_recall_rows(matrix, self._classes)
        write_table(path, ["class", "count", *PRECISION_RECALL], rows)


class LocatedClasses(ImageClasses):
    """One class and one box an image: as ``ImageClasses``, and each class's mean IoU."""

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self._iou: list[float] = []

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C] and ``boxes`` [B, 4] for ``label`` and ``box``."""
        super().update(predictions, batch)
        self._iou += box_iou(predictions["boxes"], batch["box"]).diagonal().tolist()

    def _write_per_class(self, path: Path, matrix: NDArray[np.int64]) -> None:
        count = matrix.sum(axis=1)
        total = np.bincount(self._actual, weights=self._iou, minlength=len(count))
        means = rounded(total / np.maximum(count, 1))
        rows = precision_recall_rows(matrix, self._classes)
        write_table(
            path,
            ["class", "count", *PRECISION_RECALL, "mean_iou"],
            ([*row, mean] for row, mean in zip(rows, means, strict=True)),
        )


class PixelClasses:
    """One class a pixel: ``confusion.png`` and ``per_class.csv``, both over pixels."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._confusion = MulticlassConfusionMatrix(len(classes), ignore_index=_IGNORE)

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in ``probabilities`` [B, C, H, W] for a batch with ``mask`` [B, H, W]."""
        self._confusion.update(predictions["probabilities"].argmax(dim=1), batch["mask"].cpu())

    def write(self, plots: Path, tables: Path) -> None:
        """Write the heat map and the figures by class."""
        matrix = self._confusion.compute().numpy()
        draw_confusion(plots / "confusion.png", matrix, self._classes, unit="pixels")
        rows = precision_recall_rows(matrix, self._classes)
        write_table(
            tables / "per_class.csv",
            ["class", "count", *PRECISION_RECALL, "iou"],
            ([*row, iou] for row, iou in zip(rows, iou_column(matrix), strict=True)),
        )


class DetectedClasses:
    """Any number of objects an image: ``per_class.csv`` with COCO's figures."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._counts = np.zeros(len(classes), np.int64)
        # class_metrics=True would evaluate once more for each class; the extended summary holds
        # all classes already.
        self._map = MeanAveragePrecision(backend="faster_coco_eval", extended_summary=True)
        self._map.warn_on_many_detections = False

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes`` and ``labels``."""
        names = ("boxes", "scores", "labels")
        kept = predictions["scores"] > 0
        found = [
            {name: predictions[name][image][kept[image]] for name in names}
            for image in range(len(kept))
        ]
        pairs = zip(batch["boxes"], batch["labels"], strict=True)
        self._map.update(found, [{"boxes": boxes, "labels": labels} for boxes, labels in pairs])
        labels = torch.cat(list(batch["labels"])).numpy()
        self._counts += np.bincount(labels, minlength=len(self._classes))

    def write(self, plots: Path, tables: Path) -> None:
        """Write AP over IoU 0.5 to 0.95, AP at 0.5, and recall of each class."""
        summary = self._map.compute()
        figures = {
            int(label): self._figures(summary["precision"][:, :, index, 0, -1], recall)
            for index, (label, recall) in enumerate(
                zip(
                    summary["classes"].reshape(-1).tolist(),
                    summary["recall"][:, :, 0, -1].T,
                    strict=True,
                )
            )
        }
        rows: list[Row] = [
            [name, int(count), *(figures.get(label, [0.0] * 3) if count else [""] * 3)]
            for label, (name, count) in enumerate(zip(self._classes, self._counts, strict=True))
        ]
        columns = ["class", "count", "ap", "ap_50", "recall"]
        write_table(tables / "per_class.csv", columns, rows)

    @staticmethod
    def _figures(precision: torch.Tensor, recall: torch.Tensor) -> list[float]:
        """Average precision [thresholds, recalls] and recall [thresholds] of one class."""
        return rounded([float(precision.mean()), float(precision[0].mean()), float(recall.mean())])
