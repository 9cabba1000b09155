"""Regions of a mask that were taken for another class.

Outlines are never met to the pixel, and where they are missed a thin band of pixels is wrong that
says nothing of the labels or the model. So a region is what is left of wrong pixels after a
morphological opening with the disk within which the boundary F-score counts outlines as met
(``measures/boundaries.py``): a band that arises where both outlines lie off by less vanishes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.measures.boundaries import near_disk
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import decode_map

Map = NDArray[np.uint8]

REGION_COLUMNS = ("area", "left", "top", "right", "bottom")


@dataclass(frozen=True)
class PixelMaps:
    """What is kept of each pixel of an image, uint8 [H, W].

    Attributes:
        given: The annotated class; 255 does not count.
        predicted: The predicted class.
        confidence: Its probability, percent.
        given_confidence: Probability of the annotated class where it is not the predicted one,
            percent; 255 elsewhere.
    """

    given: Map
    predicted: Map
    confidence: Map
    given_confidence: Map

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Where another class than the annotated one was predicted, bool [H, W]."""
        different: NDArray[np.bool_] = self.given != self.predicted
        return different & (self.given != IGNORE)


@dataclass(frozen=True)
class Region:
    """Connected pixels of one annotated class that were taken for one other.

    Attributes:
        given: The annotated class.
        predicted: The predicted class.
        area: Number of its pixels.
        box: Left, top, right, bottom in pixels of the model's input.
        confidence: Mean probability of the predicted class, to whole percent as it is kept.
        given_confidence: Mean probability of the annotated class, likewise.
        outline: The closed lines around it, each float32 [M, 2] as x and y in pixels.
    """

    given: int
    predicted: int
    area: int
    box: tuple[int, int, int, int]
    confidence: float
    given_confidence: float
    outline: list[NDArray[np.float32]]

    @property
    def cells(self) -> list[int]:
        """What ``REGION_COLUMNS`` of a table say of it."""
        return [self.area, *self.box]


def pixel_maps(predictions: PredictionsFile) -> Iterator[PixelMaps]:
    """Yield the maps of each image, a few of them in memory at a time."""
    names = ("mask", "predicted_mask", "confidence", "given_confidence")
    for row in predictions.rows(names):
        yield _maps(row, names)


def _maps(row: Mapping[str, Any], names: tuple[str, ...]) -> PixelMaps:
    return PixelMaps(*(decode_map(row[name]) for name in names))


def regions(maps: PixelMaps, pixels: NDArray[np.bool_]) -> Iterator[Region]:
    """Yield the regions among some wrong pixels of an image, pair of classes by pair of classes.

    Args:
        maps: The image's.
        pixels: Those that count of its wrong pixels, bool [H, W].
    """
    disk = near_disk(*pixels.shape)
    pairs = maps.given.astype(np.int32) * (IGNORE + 1) + maps.predicted
    counts = np.bincount(pairs[pixels], minlength=1)
    for pair in np.flatnonzero(counts >= disk.sum()).tolist():
        rough = ((pairs == pair) & pixels).astype(np.uint8)
        # By default OpenCV takes what lies outside the image for part of every region.
        solid = cv2.morphologyEx(
            rough, cv2.MORPH_OPEN, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(solid)
        for label in range(1, count):
            left, top, width, height, _ = boxes[label].tolist()
            place = (left, top, left + width, top + height)
            window = (slice(top, top + height), slice(left, left + width))
            yield _region(divmod(pair, IGNORE + 1), place, labels[window] == label, maps, window)


def _region(
    pair: tuple[int, int],
    box: tuple[int, int, int, int],
    inside: NDArray[np.bool_],
    maps: PixelMaps,
    window: tuple[slice, slice],
) -> Region:
    lines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=box[:2]
    )
    return Region(
        *pair,
        area=int(inside.sum()),
        box=box,
        confidence=_mean_share(maps.confidence[window][inside]),
        given_confidence=_mean_share(maps.given_confidence[window][inside]),
        outline=[line[:, 0].astype(np.float32) + 0.5 for line in lines],
    )


def _mean_share(percent: Map) -> float:
    return round(float(percent.mean()) / 100, 2)
