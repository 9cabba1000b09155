"""One class a pixel."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.confusion import draw_confusion
from viewfinder.evaluation.measures.boundaries import boundary_counts, boundary_f1
from viewfinder.evaluation.measures.measure import Headline, Resamples, Weights, mean, ratio
from viewfinder.evaluation.measures.per_class import (
    ClassTable,
    precision_recall_rows,
    rounded_or_blank,
    shares,
)

Map = NDArray[np.uint8]

_IMAGES_OF_BLOCK = 256
_COUNTS = 7
_NOTHING_SHOWN = "no class is shown or told"


class PixelClasses:
    """Intersection over union, Dice and how well outlines are met, of each class over all pixels.

    Args:
        maps: True and predicted class of each pixel, uint8 [H, W], of each image; true pixels of
            255 do not count.
        classes: Class names.
    """

    reasons: Mapping[str, str] = {
        "mean_iou": _NOTHING_SHOWN,
        "mean_dice": _NOTHING_SHOWN,
        "pixel_accuracy": "no pixel has a known class",
        "mean_boundary_f1": "no class has an outline",
    }

    def __init__(self, maps: Iterable[tuple[Map, Map]], classes: Sequence[str]) -> None:
        self._classes = classes
        self._matrix = np.zeros((len(classes), len(classes)), np.int64)
        self._blocks: list[NDArray[np.uint32]] = []  # counts of some images each, [B, C, 7]
        self.images = 0
        counts = []
        for true, found in maps:
            matrix = pixel_confusion(true, found, len(classes))
            self._matrix += matrix
            # An image's whole matrix would be too large to keep where there are many classes.
            sums = (matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0))
            outlines = boundary_counts(true, found, len(classes))
            counts.append(np.column_stack([*sums, outlines]).astype(np.uint32))
            self.images += 1
            if len(counts) == _IMAGES_OF_BLOCK:
                self._blocks.append(np.stack(counts))
                counts = []
        if counts:
            self._blocks.append(np.stack(counts))
        self._solid = np.array([name != BACKGROUND for name in classes])

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return means over the classes without background, and ``pixel_accuracy``.

        A class that neither truth nor prediction shows is left out of the means. Where that leaves
        none, they are not defined: nothing was missed or invented, but nothing was found either.
        """
        return {name: float(value) for name, (value,) in self.headlines(weights[None]).items()}

    def headlines(self, resamples: Resamples) -> dict[str, NDArray[np.float64]]:
        """Return the same on several resamples; each block of images is taken once for them."""
        figures = [self._figures(counts) for counts in self._sums(resamples)]
        return {name: np.array([one[name] for one in figures]) for name in figures[0]}

    def _sums(self, resamples: Resamples) -> NDArray[np.float64]:
        """Return the counts of all images, as often as each resample takes them, [R, C, 7]."""
        sums = np.zeros((len(resamples), len(self._classes), _COUNTS))
        start = 0
        for block in self._blocks:
            weights = resamples[:, start : start + len(block)].astype(np.float64)
            sums += np.tensordot(weights, block.astype(np.float64), axes=1)
            start += len(block)
        return sums

    def _figures(self, counts: NDArray[np.float64]) -> dict[str, float]:
        every_hit, true, told = counts[:, :3].T
        shown = self._solid & (true + told > 0)
        hits, sizes = every_hit[shown], (true + told)[shown]
        outlines = boundary_f1(counts[self._solid, 3:])
        known = outlines[~np.isnan(outlines)]
        return {
            "mean_iou": mean(hits / (sizes - hits)),
            "mean_dice": mean(2 * hits / sizes),
            "mean_boundary_f1": mean(known),
            "pixel_accuracy": ratio(float(every_hit.sum()), float(true.sum())),
        }

    def others(self) -> dict[str, float]:
        """Return nothing."""
        return {}

    def write(self, plots: Path, tables: Path) -> None:
        """Write the heat map of the confusion, and the figures by class."""
        draw_confusion(plots / "confusion.png", self.confusion(), self._classes, unit="pixels")
        self.by_class().write(tables)

    def by_class(self) -> ClassTable:
        """Return precision, recall, Dice (which is F1), IoU and boundary F1 of each class."""
        matrix = self.confusion()
        hits = matrix.diagonal()
        ious = shares(hits, matrix.sum(axis=0) + matrix.sum(axis=1) - hits)
        (counts,) = self._sums(np.ones((1, self.images)))
        outlines = boundary_f1(counts[:, 3:])
        columns = zip(
            precision_recall_rows(matrix, self._classes),
            rounded_or_blank(ious),
            rounded_or_blank(outlines),
            strict=True,
        )
        return ClassTable(
            ["precision", "recall", "dice", "iou", "boundary_f1"],
            [[*row, iou, outline] for row, iou, outline in columns],
        )

    def right(self) -> None:
        """Return nothing: a mask is better or worse."""

    def of_classes(self, labels: Collection[int]) -> Headline:
        """Return the metrics whose means are over some classes alone."""
        part = copy.copy(self)
        part._solid = self._solid & np.isin(np.arange(len(self._classes)), list(labels))
        return part

    def confusion(self) -> NDArray[np.int64]:
        """Return how often a class (row) was taken for a class (column), int64 [C, C]."""
        return self._matrix


def pixel_confusion(true: Map, found: Map, count: int) -> NDArray[np.int64]:
    """Return how many pixels of a class (row) were taken for a class (column), int64 [C, C].

    Args:
        true: Class of each pixel, uint8 [H, W]; 255 does not count.
        found: Predicted class of each pixel, uint8 [H, W].
        count: Number of classes, C.
    """
    known = true != IGNORE
    pairs = true[known].astype(np.int64) * count + found[known]
    return np.bincount(pairs, minlength=count**2).reshape(count, count)
