"""Any number of objects an image, by their boxes or by their masks."""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from viewfinder.evaluation.measures.average_precision import RECALLS, ClassMatches
from viewfinder.evaluation.measures.gathering import Gathering
from viewfinder.evaluation.measures.measure import Headline, Weights, mean
from viewfinder.evaluation.measures.operating_point import OperatingPoint
from viewfinder.evaluation.measures.panoptic import QUALITIES, PanopticQuality
from viewfinder.evaluation.measures.per_class import ClassTable, Row, rounded_or_blank
from viewfinder.evaluation.ranking_curves import Curve, Line, draw_precision_recall
from viewfinder.tasks.matching import (
    EVERY_SIZE,
    IOU_50,
    IOU_75,
    Floats,
    ImageObjects,
    match,
)

V = TypeVar("V", str, float)

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_MOST = (1, 10, 100)
_COLUMNS = ("ap", "ap_50", "recall")


class Objects:
    """COCO's average precision and recall.

    Args:
        images: The objects and detections of each image.
        classes: Class names.
        prefix: What the names of the metrics begin with.
        thresholds: Score from which on each class is told; None where nothing is told.
    """

    def __init__(
        self,
        images: Iterable[ImageObjects],
        classes: Sequence[str],
        prefix: str = "",
        thresholds: Sequence[float] | None = None,
    ) -> None:
        self._classes = classes
        self._prefix = prefix
        least = [np.inf] * len(classes) if thresholds is None else thresholds
        self.images, (self._all, *sized) = _matches(images, least)
        self._sized = dict(zip(SIZES, sized, strict=True))
        self._told = (
            None if thresholds is None else OperatingPoint(self._all, thresholds, self.images)
        )

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a metric may not be defined, by name."""
        sized = {
            f"{self._prefix}{kind}_{size}": f"no {size} object in any image"
            for size in SIZES
            for kind in ("map", "mar")
        }
        whole = ("map", "map_50", "map_75", *(f"mar_{most}" for most in _MOST))
        named = {f"{self._prefix}{name}": "no object in any image" for name in whole}
        return sized | named | self._prefixed(OperatingPoint.reasons)

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return ``map``, over IoU 0.5 to 0.95, ``map_50`` and ``map_75``.

        With thresholds also ``precision``, ``recall`` and ``f1`` of what is told, at IoU 0.5.
        """
        precision = _precision(self._all, weights)
        figures = {
            "map": mean(precision),
            "map_50": mean(precision[:, IOU_50]),
            "map_75": mean(precision[:, IOU_75]),
        }
        told = {} if self._told is None else self._told.figures(weights)
        return self._prefixed(figures | told)

    def others(self) -> dict[str, float]:
        """Return average precision by size of the objects, and recall."""
        every = np.ones(self.images)
        figures = {f"mar_{most}": _mean_recall(self._all, most) for most in _MOST}
        for size, matches in self._sized.items():
            figures[f"map_{size}"] = mean(_precision(matches, every))
            figures[f"mar_{size}"] = _mean_recall(matches, _MOST[-1])
        return self._prefixed(figures)

    def write(self, plots: Path, tables: Path) -> None:
        """Write the figures of each class, and precision against recall at IoU 0.5."""
        self.by_class().write(tables)
        self.write_told(tables)
        self.draw_curves(plots)

    def write_told(self, tables: Path) -> None:
        """Write what each class's threshold makes of its detections, if there are thresholds."""
        if self._told is not None:
            self._told.write(tables, self._classes)

    def draw_curves(self, plots: Path) -> None:
        """Draw precision against recall of each class that has objects, at IoU 0.5."""
        every = np.ones(self.images)
        named = [
            (name, matches.curves(every))
            for name, matches in zip(self._classes, self._all, strict=True)
        ]
        points = [None] * len(named) if self._told is None else self._told.points()
        curves = [
            Curve(name, partial(_line, found[0]), float(found[0][IOU_50].mean()), point)
            for (name, found), point in zip(named, points, strict=True)
            if found
        ]
        draw_precision_recall(
            plots / "precision_recall.png", curves, heading="Objects found at IoU 0.5"
        )

    def by_class(self) -> ClassTable:
        """Return AP over IoU 0.5 to 0.95, AP at 0.5, and recall of each class."""
        rows: list[Row] = []
        for name, matches in zip(self._classes, self._all, strict=True):
            curves = matches.curves(np.ones(self.images))
            figures = [np.nan] * len(_COLUMNS)
            if curves is not None:
                precision, recall = curves
                figures = [precision.mean(), precision[IOU_50].mean(), recall.mean()]
            rows.append([name, int(matches.objects.sum()), *rounded_or_blank(np.array(figures))])
        return ClassTable([f"{self._prefix}{column}" for column in _COLUMNS], rows)

    def right(self) -> None:
        """Return nothing: detections are better or worse."""

    def of_classes(self, labels: Collection[int]) -> Headline:
        """Return the metrics of some classes alone."""
        part = copy.copy(self)
        part._all = [self._all[label] for label in labels]
        part._told = None
        return part

    def of_size(self, size: str) -> Headline:
        """Return the metrics of objects of one of ``SIZES`` alone."""
        part = copy.copy(self)
        part._all = self._sized[size]
        part._told = None
        return part

    def _prefixed(self, values: Mapping[str, V]) -> dict[str, V]:
        return {f"{self._prefix}{name}": value for name, value in values.items()}


class Instances:
    """As ``Objects``, by masks and by boxes, and panoptic quality.

    Args:
        masks: The measure of the masks.
        boxes: The measure of the boxes.
        panoptic: The measure of the masks without overlaps.
    """

    def __init__(self, masks: Objects, boxes: Objects, panoptic: PanopticQuality) -> None:
        self.images = masks.images
        self.masks = masks
        self._boxes = boxes
        self._panoptic = panoptic

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a metric may not be defined, by name."""
        return {**self.masks.reasons, **self._boxes.reasons, **self._panoptic.reasons}

    def headline(self, weights: Weights) -> dict[str, float]:
        """Return COCO's figures over all sizes, by masks and by boxes, and panoptic quality."""
        coco = self.masks.headline(weights) | self._boxes.headline(weights)
        return coco | self._panoptic.headline(weights)

    def others(self) -> dict[str, float]:
        """Return COCO's further figures, by masks and by boxes."""
        return self.masks.others() | self._boxes.others()

    def write(self, plots: Path, tables: Path) -> None:
        """Write the figures of each class, by masks and by boxes, and the curves of the masks."""
        self.by_class().write(tables)
        self.masks.write_told(tables)
        self.masks.draw_curves(plots)

    def by_class(self) -> ClassTable:
        """Return the figures of each class, by masks and by boxes, and its panoptic quality."""
        masks, boxes = self.masks.by_class(), self._boxes.by_class()
        qualities = self._panoptic.by_class()
        joined = [
            [*row, *other[2:], *rounded_or_blank(three)]
            for row, other, three in zip(masks.rows, boxes.rows, qualities, strict=True)
        ]
        return ClassTable([*masks.columns, *boxes.columns, *QUALITIES], joined)

    def right(self) -> None:
        """Return nothing: detections are better or worse."""


def _matches(
    images: Iterable[ImageObjects], thresholds: Sequence[float]
) -> tuple[int, Iterator[list[ClassMatches]]]:
    """Match each image's detections, looking for the classes it is about alone.

    Args:
        images: The objects and detections of each image.
        thresholds: Score from which on each class is told, [C].

    Returns:
        Number of images, and the matches of each class: of all objects, then of each of ``SIZES``.
    """
    ranges = (EVERY_SIZE, *SIZES.values())
    gathered = [Gathering(len(ranges)) for _ in thresholds]
    count = 0
    for number, image in enumerate(images):
        for label in np.union1d(image.labels, image.found_labels):
            gathered[label].add(number, [match(image, label, areas) for areas in ranges])
        count = number + 1
    # What was gathered of a class goes as soon as it is joined.
    joined = [list(gathered.pop(0).joined(threshold)) for threshold in thresholds]
    return count, map(list, zip(*joined, strict=True))


def _line(precision: Floats) -> Line:
    """Return recall and precision at IoU 0.5, [101] each, of precision [T, 101]."""
    return RECALLS, precision[IOU_50]


def _precision(matches: Iterable[ClassMatches], weights: Weights) -> Floats:
    """Return the average precision of each class that has objects, at each IoU, [K, T]."""
    curves = [of_class.curves(weights) for of_class in matches]
    return np.array([found[0].mean(axis=1) for found in curves if found]).reshape(-1, 10)


def _mean_recall(matches: Iterable[ClassMatches], most: int) -> float:
    recalls = [of_class.recall(most) for of_class in matches]
    return mean(np.array([recall for recall in recalls if recall is not None]))
