"""Any number of classes an image."""

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.measures.measure import Headline, Resamples, Weights, mean, ratio
from viewfinder.evaluation.measures.packed import Packed, of_class
from viewfinder.evaluation.measures.per_class import (
    PRECISION_RECALL,
    ClassTable,
    Row,
    precision_recall_f1,
    rounded_or_blank,
)
from viewfinder.evaluation.measures.ranking import Ranking
from viewfinder.evaluation.ranking_curves import (
    Scored,
    draw_precision_recall,
    draw_roc,
    precision_recall_curves,
    roc_curves,
)


class PresentClasses:
    """How well the classes present are ranked, and told by their thresholds.

    Args:
        labels: Which classes are present, packed by ``pack``.
        probabilities: float32 [N, C].
        told: Which classes count as present, packed in the same way.
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
        labels: Packed,
        probabilities: NDArray[np.float32],
        told: Packed,
        classes: Sequence[str],
        thresholds: Sequence[float],
    ) -> None:
        self.images = len(labels)
        self._labels = labels
        self._probabilities = probabilities
        self._told = told
        self._classes = classes
        self._thresholds = thresholds
        self._counted = list(range(len(classes)))

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return ``macro_average_precision``, ``macro_f1`` and ``micro_f1``.

        Means are over the classes that occur: present, or (for F1) told.
        """
        return {name: float(value) for name, (value,) in self.headlines(weights[None]).items()}

    def headlines(self, resamples: Resamples) -> dict[str, NDArray[np.float64]]:
        """Return the same on several resamples; each class is ranked once for all of them."""
        of_classes = [self._figures(label, resamples) for label in self._counted]
        areas, hits, sizes = np.stack(of_classes, axis=2)
        with np.errstate(invalid="ignore"):
            f1 = 2 * hits / sizes  # not a number where the class neither is there nor told
        parts = zip(areas, f1, hits.sum(axis=1), sizes.sum(axis=1), strict=True)
        figures = [
            (_known_mean(area), _known_mean(score), ratio(2 * hit, size))
            for area, score, hit, size in parts
        ]
        names = ("macro_average_precision", "macro_f1", "micro_f1")
        return dict(zip(names, np.array(figures).T, strict=True))

    def _figures(self, label: int, resamples: Resamples) -> NDArray[np.float64]:
        """Return average precision, hits, and how often the class is there or told, [3, R]."""
        present, scores = self.scored(label)
        told = of_class(self._told, label)
        ranking = Ranking(present, scores)
        hits, sizes, others = (
            resamples[:, np.flatnonzero(flags)].sum(axis=1)
            for flags in (present & told, present, told)
        )
        areas = [ranking.average_precision(weights) for weights in resamples]
        return np.stack([np.array(areas), hits, sizes + others])

    def scored(self, label: int) -> Scored:
        """Return which images show a class, bool [N], and its probabilities, [N]."""
        return of_class(self._labels, label), self._probabilities[:, label]

    def others(self) -> dict[str, float]:
        """Return ``exact_match``: the share of images with every class told right."""
        return {"exact_match": float(self.right().mean())}

    def write(self, plots: Path, tables: Path) -> None:
        """Write curves, and the figures of each class."""
        self.by_class().write(tables)
        scored = (self.scored, dict(enumerate(self._classes)))
        heading = "Images that show the class"
        draw_precision_recall(
            plots / "precision_recall.png", precision_recall_curves(*scored), heading=heading
        )
        draw_roc(plots / "roc.png", roc_curves(*scored), heading=heading)

    def by_class(self) -> ClassTable:
        """Return each class's average precision, and precision, recall and F1 at its threshold."""
        rows: list[Row] = []
        for label, (name, threshold) in enumerate(
            zip(self._classes, self._thresholds, strict=True)
        ):
            present, scores = self.scored(label)
            told = of_class(self._told, label)
            counts = (np.array([flags.sum()]) for flags in (present & told, present, told))
            area = Ranking(present, scores).average_precision(np.ones(self.images))
            figures = np.array([area, threshold, *precision_recall_f1(*counts).ravel()])
            rows.append([name, int(present.sum()), *rounded_or_blank(figures)])
        return ClassTable(["average_precision", "threshold", *PRECISION_RECALL], rows)

    def right(self) -> NDArray[np.bool_]:
        """Return whether every class of each image is told right."""
        return np.asarray((self._labels == self._told).all(axis=1))

    def of_classes(self, labels: Collection[int]) -> Headline:
        """Return the metrics of some classes alone."""
        part = copy.copy(self)
        part._counted = sorted(labels)
        return part


def _known_mean(values: NDArray[np.float64]) -> float:
    return mean(values[~np.isnan(values)])
