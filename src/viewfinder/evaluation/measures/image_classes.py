"""One class an image."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
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
    Scored,
    draw_precision_recall,
    draw_roc,
    precision_recall_curves,
    roc_curves,
)
from viewfinder.tables import write_table
from viewfinder.tasks.matching import GOOD_IOU

_TOP = 5
_VALUES_AT_ONCE = 2**18
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
        self._right = self.labels == self.predicted
        self._probabilities = probabilities
        self._classes = classes
        self._second = Ranking(labels == 1, probabilities[:, 1]) if len(classes) == 2 else None

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return ``accuracy`` and ``macro_f1``; of two classes, how well the second is found."""
        hits, actual, predicted = counts = self._counts(weights)
        figures = {
            "accuracy": ratio(float(hits.sum()), float(actual.sum())),
            "macro_f1": _macro(counts)[2],
        }
        if self._second is None:
            return figures
        return figures | {
            "f1": ratio(2 * float(hits[1]), float(actual[1] + predicted[1])),
            "average_precision": self._second.average_precision(weights),
            "roc_auc": self._second.roc_auc(weights),
        }

    def others(self) -> dict[str, float]:
        """Return ``macro_precision``, ``macro_recall``, ``log_loss`` and ``top_5_accuracy``.

        ``weighted_precision``, ``weighted_recall`` and ``weighted_f1`` are means over the classes
        that weigh each by its images.
        """
        counts = self._counts(np.ones(self.images))
        precision, recall, _ = _macro(counts)
        weighted = (_of_classes(counts) @ counts[1] / self.images).tolist()
        figures = {
            "macro_precision": precision,
            "macro_recall": recall,
            **dict(zip(_WEIGHTED, weighted, strict=True)),
            "log_loss": self._mean(log_loss) if len(self._classes) > 1 else float("nan"),
        }
        if len(self._classes) > _TOP:
            figures[f"top_{_TOP}_accuracy"] = self._mean(partial(top_k_accuracy_score, k=_TOP))
        return figures

    def _mean(self, total: Callable[..., float]) -> float:
        """Return the mean of what scikit-learn sums up; it takes copies, so some rows at a time."""
        every = range(len(self._classes))
        rows = max(1, _VALUES_AT_ONCE // len(every))
        parts = [slice(start, start + rows) for start in range(0, self.images, rows)]
        sums = [
            total(self.labels[part], self._exact(part), labels=every, normalize=False)
            for part in parts
        ]
        return float(sum(sums)) / self.images

    def _exact(self, rows: slice) -> NDArray[np.float64]:
        """Return the probabilities of some rows, which sum to 1 more closely than in the table."""
        exact = self._probabilities[rows].astype(np.float64)
        return np.asarray(exact / exact.sum(axis=1, keepdims=True))

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
        shown = range(1, 2) if len(self._classes) == 2 else range(len(self._classes))
        scored = (self._against_others, {label: self._classes[label] for label in shown})
        heading = "Each class against all others"
        draw_precision_recall(
            plots / "precision_recall.png", precision_recall_curves(*scored), heading=heading
        )
        draw_roc(plots / "roc.png", roc_curves(*scored), heading=heading)

    def _against_others(self, label: int) -> Scored:
        return self.labels == label, self._probabilities[:, label] / self._row_sums

    @cached_property
    def _row_sums(self) -> NDArray[np.float64]:
        return np.asarray(self._probabilities.sum(axis=1, dtype=np.float64))

    def by_class(self) -> ClassTable:
        """Return precision, recall and F1 of each class."""
        return ClassTable(
            list(PRECISION_RECALL), precision_recall_rows(self.confusion(), self._classes)
        )

    def right(self) -> NDArray[np.bool_]:
        """Return whether each image's likeliest class is the true one."""
        return self._right

    def confusion(self) -> NDArray[np.int64]:
        """Return how often a class (row) was taken for a class (column), int64 [C, C]."""
        count = len(self._classes)
        pairs = self.labels * count + self.predicted
        return np.bincount(pairs, minlength=count**2).reshape(count, count)

    def _counts(self, weights: Weights) -> NDArray[np.float64]:
        """Return how often each class was predicted rightly, is there, was predicted, [3, C]."""
        right, count = self._right, len(self._classes)
        hits = np.bincount(self.labels[right], weights[right], count)
        actual = np.bincount(self.labels, weights, count)
        return np.stack([hits, actual, np.bincount(self.predicted, weights, count)])


def _macro(counts: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return mean precision, recall and F1 over the classes that truth or prediction shows.

    A class that is never predicted has precision 0, one that never occurs recall 0.
    """
    _, actual, predicted = counts
    precision, recall, f1 = _of_classes(counts)[:, actual + predicted > 0].mean(axis=1).tolist()
    return precision, recall, f1


def _of_classes(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return precision, recall and F1 of each class [3, C]; what is not defined counts as 0."""
    return np.nan_to_num(precision_recall_f1(*counts))


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
