"""One class an image."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, top_k_accuracy_score

from viewfinder.evaluation.confusion import draw_confusion
from viewfinder.evaluation.measures.measure import Weights, ratio
from viewfinder.evaluation.measures.per_class import (
    PRECISION_RECALL,
    ClassTable,
    precision_recall_f1,
    precision_recall_rows,
)
from viewfinder.evaluation.measures.ranking import Ranking
from viewfinder.evaluation.ranking_curves import (
    draw_precision_recall,
    draw_roc,
    precision_recall_curves,
    roc_curves,
)
from viewfinder.tables import write_table
from viewfinder.tasks.matching import GOOD_IOU

_TOP = 5
_WEIGHTED = ("weighted_precision", "weighted_recall", "weighted_f1")
_ONE_CLASS = "the images show one class only"
_NO_SECOND = "no image shows the second class"


class ImageClasses:
    """Accuracy, F1 and what else there is to say of probabilities against one class an image.

    Args:
        labels: The true class of each image, int64 [N].
        probabilities: float32 [N, C].
        classes: Class names.
    """

    reasons: Mapping[str, str] = {
        "f1": "no image shows the second class, nor is it predicted",
        "roc_auc": _ONE_CLASS,
        "average_precision": _NO_SECOND,
        "log_loss": "there is one class only",
    }

    def __init__(
        self,
        labels: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        classes: Sequence[str],
    ) -> None:
        self.images = len(labels)
        self.labels = labels
        self.predicted = probabilities.argmax(axis=1)
        exact = probabilities.astype(np.float64)
        self._probabilities = exact / exact.sum(axis=1, keepdims=True)
        self._classes = classes
        self._pairs = labels * len(classes) + self.predicted
        self._second = Ranking(labels == 1, exact[:, 1]) if len(classes) == 2 else None

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return ``accuracy`` and ``macro_f1``; of two classes, how well the second is found."""
        matrix = self._confusion(weights)
        figures = {
            "accuracy": ratio(float(np.trace(matrix)), float(matrix.sum())),
            "macro_f1": self._macro(matrix)[2],
        }
        if self._second is None:
            return figures
        return figures | {
            "f1": ratio(2 * float(matrix[1, 1]), float(matrix[1].sum() + matrix[:, 1].sum())),
            "average_precision": self._second.average_precision(weights),
            "roc_auc": self._second.roc_auc(weights),
        }

    def others(self) -> dict[str, float]:
        """Return ``macro_precision``, ``macro_recall``, ``log_loss`` and ``top_5_accuracy``.

        ``weighted_precision``, ``weighted_recall`` and ``weighted_f1`` are means over the classes
        that weigh each by its images.
        """
        matrix = self._confusion(np.ones(self.images))
        precision, recall, _ = self._macro(matrix)
        weighted = (_of_classes(matrix) @ matrix.sum(axis=1) / self.images).tolist()
        figures = {
            "macro_precision": precision,
            "macro_recall": recall,
            **dict(zip(_WEIGHTED, weighted, strict=True)),
            "log_loss": self._log_loss(),
        }
        if len(self._classes) > _TOP:
            figures[f"top_{_TOP}_accuracy"] = float(
                top_k_accuracy_score(
                    self.labels, self._probabilities, k=_TOP, labels=range(len(self._classes))
                )
            )
        return figures

    def _log_loss(self) -> float:
        if len(self._classes) == 1:
            return float("nan")
        return float(log_loss(self.labels, self._probabilities, labels=range(len(self._classes))))

    def write(self, plots: Path, tables: Path) -> None:
        """Write the confusion, one row an image, its heat map, curves, and the figures by class."""
        names = self._classes
        pairs = zip(self.labels, self.predicted, strict=True)
        write_table(
            tables / "confusion.csv",
            ["actual", "predicted"],
            ([names[actual], names[predicted]] for actual, predicted in pairs),
        )
        draw_confusion(plots / "confusion.png", self.confusion(), names, unit="images")
        self.by_class().write(tables)
        self._draw_curves(plots)

    def _draw_curves(self, plots: Path) -> None:
        """Draw how well each class stands out; of two classes the second says it all."""
        shown = slice(1, None) if len(self._classes) == 2 else slice(None)
        present = (self.labels[:, None] == np.arange(len(self._classes)))[:, shown]
        scored = (present, self._probabilities[:, shown], self._classes[shown])
        heading = "Each class against all others"
        draw_precision_recall(
            plots / "precision_recall.png", precision_recall_curves(*scored), heading=heading
        )
        draw_roc(plots / "roc.png", roc_curves(*scored), heading=heading)

    def by_class(self) -> ClassTable:
        """Return precision, recall and F1 of each class."""
        return ClassTable(
            list(PRECISION_RECALL), precision_recall_rows(self.confusion(), self._classes)
        )

    def right(self) -> NDArray[np.bool_]:
        """Return whether each image's likeliest class is the true one."""
        return np.asarray(self.labels == self.predicted)

    def confusion(self) -> NDArray[np.int64]:
        """Return how often a class (row) was taken for a class (column), int64 [C, C]."""
        return self._confusion(np.ones(self.images)).astype(np.int64)

    def _confusion(self, weights: Weights) -> NDArray[np.float64]:
        count = len(self._classes)
        counts = np.bincount(self._pairs, weights, count**2)
        return counts.astype(np.float64).reshape(count, count)

    def _macro(self, matrix: NDArray[np.float64]) -> tuple[float, float, float]:
        """Return mean precision, recall and F1 over the classes that truth or prediction shows.

        A class that is never predicted has precision 0, one that never occurs recall 0.
        """
        shown = matrix.sum(axis=1) + matrix.sum(axis=0) > 0
        precision, recall, f1 = _of_classes(matrix)[:, shown].mean(axis=1).tolist()
        return precision, recall, f1


def _of_classes(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each class [3, C]; what is not defined counts as 0."""
    figures = precision_recall_f1(matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0))
    return np.nan_to_num(figures)


class LocatedClasses(ImageClasses):
    """One class and one box an image.

    Args:
        arguments: As for ``ImageClasses``.
        overlaps: IoU of the true and the predicted box of each image, [N].
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        classes: Sequence[str],
        overlaps: NDArray[np.float64],
    ) -> None:
        super().__init__(labels, probabilities, classes)
        self._overlaps = overlaps

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return also ``mean_iou``, ``iou_50`` and ``joint_accuracy``: class and box are right."""
        good = self._overlaps >= GOOD_IOU
        mean = partial(np.average, weights=weights)
        of_boxes = {
            "joint_accuracy": float(mean(self.right())),
            "mean_iou": float(mean(self._overlaps)),
            "iou_50": float(mean(good)),
        }
        return of_boxes | super().headline(weights)

    def by_class(self) -> ClassTable:
        """Return also the mean IoU of each class; a class without images has none."""
        table = super().by_class()
        for label, row in enumerate(table.rows):
            overlaps = self._overlaps[self.labels == label]
            row.append(round(float(overlaps.mean()), 5) if len(overlaps) else None)
        return ClassTable([*table.columns, "mean_iou"], table.rows)

    def right(self) -> NDArray[np.bool_]:
        """Return whether class and box of each image are right."""
        return super().right() & (self._overlaps >= GOOD_IOU)
