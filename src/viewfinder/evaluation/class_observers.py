"""Watching how the classes fare: confusion and per-class tables of each task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.schema import IGNORE
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
from viewfinder.tasks.detection import with_crowds, without_padding
from viewfinder.tasks.instances import instances_with_crowds, pasted_instances

_IouType = Literal["bbox", "segm"]
_COCO_COLUMNS = ("ap", "ap_50", "recall")


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
        self._confusion = MulticlassConfusionMatrix(len(classes), ignore_index=IGNORE)

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

    # What the columns of one kind of figure begin with, and what torchmetrics calls that kind.
    kinds: ClassVar[dict[str, _IouType]] = {"": "bbox"}

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._counts = np.zeros(len(classes), np.int64)
        # class_metrics=True would evaluate once more for each class; the extended summary holds
        # all classes already.
        self._map = MeanAveragePrecision(
            iou_type=tuple(self.kinds.values()), backend="faster_coco_eval", extended_summary=True
        )
        self._map.warn_on_many_detections = False

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes`` and ``labels``."""
        self._map.update(*self._compared(predictions, batch))
        labels = torch.cat(list(batch["labels"])).numpy()
        self._counts += np.bincount(labels, minlength=len(self._classes))

    def _compared(
        self, predictions: Predictions, batch: Batch
    ) -> tuple[list[Predictions], list[Predictions]]:
        return without_padding(predictions), with_crowds(batch, "boxes", "labels")

    def write(self, plots: Path, tables: Path) -> None:
        """Write AP over IoU 0.5 to 0.95, AP at 0.5, and recall of each class."""
        summary = self._map.compute()
        rows: list[Row] = [
            [name, int(count)] for name, count in zip(self._classes, self._counts, strict=True)
        ]
        columns = ["class", "count"]
        for ours, theirs in self.kinds.items():
            prefix = f"{theirs}_" if len(self.kinds) > 1 else ""
            figures = _figures_by_class(summary, prefix)
            columns += [f"{ours}{name}" for name in _COCO_COLUMNS]
            for label, row in enumerate(rows):
                row += figures.get(label, [0.0] * 3) if self._counts[label] else [""] * 3
        write_table(tables / "per_class.csv", columns, rows)


class SegmentedInstances(DetectedClasses):
    """As ``DetectedClasses``, by masks and by boxes."""

    kinds: ClassVar[dict[str, _IouType]] = {"mask_": "segm", "box_": "bbox"}

    def _compared(
        self, predictions: Predictions, batch: Batch
    ) -> tuple[list[Predictions], list[Predictions]]:
        size = batch["image"].shape[-2:]
        return pasted_instances(predictions, size), instances_with_crowds(batch)


def _figures_by_class(summary: Mapping[str, Any], prefix: str) -> dict[int, list[float]]:
    """Return average precision, that at IoU 0.5, and recall of each class that was seen."""
    precision, recall = summary[f"{prefix}precision"], summary[f"{prefix}recall"]
    figures = {}
    for index, label in enumerate(summary["classes"].reshape(-1).tolist()):
        # Thresholds and recalls; all sizes of objects, and the most detections.
        of_class = precision[:, :, index, 0, -1]
        means = (of_class.mean(), of_class[0].mean(), recall[:, index, 0, -1].mean())
        figures[int(label)] = rounded([float(mean) for mean in means])
    return figures
