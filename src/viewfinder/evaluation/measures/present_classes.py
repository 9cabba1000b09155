"""Any number of classes an image."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Headline, Weights, mean, ratio
from viewfinder.evaluation.measures.per_class import (
    PRECISION_RECALL,
    ClassTable,
    Row,
    precision_recall_f1,
    rounded_or_blank,
)
from viewfinder.evaluation.measures.ranking import Ranking
from viewfinder.evaluation.ranking_curves import (
    draw_precision_recall,
    draw_roc,
    precision_recall_curves,
    roc_curves,
)


class PresentClasses:
    """How well the classes present are ranked, and told by their thresholds.

    Args:
        labels: Which classes are present, bool [N, C].
        probabilities: float32 [N, C].
        told: Which classes count as present, bool [N, C].
        classes: Class names.
        thresholds: Probability from which each class counts as present.
    """

    reasons: Mapping[str, str] = {
        "macro_average_precision": "no class is present in any image",
        "macro_f1": "no class is present or told",
        "micro_f1": "no class is present or told",
    }

    def __init__(
        self,
        labels: NDArray[np.bool_],
        probabilities: NDArray[np.float32],
        told: NDArray[np.bool_],
        classes: Sequence[str],
        thresholds: Sequence[float],
    ) -> None:
        self.images = len(labels)
        self._labels = labels
        self._probabilities = probabilities
        self._rankings = [
            Ranking(present, scores)
            for present, scores in zip(labels.T, probabilities.T, strict=True)
        ]
        self._told = told
        self._classes = classes
        self._thresholds = thresholds

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return ``macro_average_precision``, ``macro_f1`` and ``micro_f1``.

        Means are over the classes that occur: present, or (for F1) told.
        """
        areas = self._average_precisions(weights)
        hits = weights @ (self._labels & self._told)
        sizes = weights @ self._labels + weights @ self._told
        shown = sizes > 0
        return {
            "macro_average_precision": mean(areas[~np.isnan(areas)]),
            "macro_f1": mean(2 * hits[shown] / sizes[shown]),
            "micro_f1": ratio(float(2 * hits.sum()), float(sizes.sum())),
        }

    def others(self) -> dict[str, float]:
        """Return ``exact_match``: the share of images with every class told right."""
        return {"exact_match": float(self.right().mean())}

    def write(self, plots: Path, tables: Path) -> None:
        """Write curves, and the figures of each class."""
        self.by_class().write(tables)
        scored = (self._labels, self._probabilities, self._classes)
        heading = "Images that show the class"
        draw_precision_recall(
            plots / "precision_recall.png", precision_recall_curves(*scored), heading=heading
        )
        draw_roc(plots / "roc.png", roc_curves(*scored), heading=heading)

    def by_class(self) -> ClassTable:
        """Return each class's average precision, and precision, recall and F1 at its threshold."""
        hits, actual, told = (
            part.sum(axis=0) for part in (self._labels & self._told, self._labels, self._told)
        )
        precision, recall, f1 = precision_recall_f1(hits, actual, told)
        areas = rounded_or_blank(self._average_precisions(np.ones(self.images)))
        rows: list[Row] = [
            [name, int(count), area, *rounded_or_blank(np.array(rest))]
            for name, count, area, *rest in zip(
                self._classes, actual, areas, self._thresholds, precision, recall, f1, strict=True
            )
        ]
        return ClassTable(["average_precision", "threshold", *PRECISION_RECALL], rows)

    def right(self) -> NDArray[np.bool_]:
        """Return whether every class of each image is told right."""
        return np.asarray((self._labels == self._told).all(axis=1))

    def of_classes(self, labels: Collection[int]) -> Headline:
        """Return the metrics of some classes alone."""
        kept = sorted(labels)
        return PresentClasses(
            self._labels[:, kept],
            self._probabilities[:, kept],
            self._told[:, kept],
            [self._classes[label] for label in kept],
            [self._thresholds[label] for label in kept],
        )

    def _average_precisions(self, weights: Weights) -> NDArray[np.float64]:
        """Return the average precision of each class [C]; not a number where it does not occur."""
        return np.array([ranking.average_precision(weights) for ranking in self._rankings])
