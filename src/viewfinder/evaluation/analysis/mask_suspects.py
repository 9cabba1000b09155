"""Regions of masks whose annotation may be wrong.

Confident learning for each pixel, as cleanlab has it for masks (V. Lad, J. Mueller, "Estimating
label quality and errors in semantic segmentation data via any model", 2023): a pixel is suspected
where another class is predicted with a probability that reaches this class's mean over the pixels
annotated with it. cleanlab takes the probabilities of all classes, of which the table keeps two, so
the rule is written out here.

Alone it suspects a good part of all mistakes, since networks are surer than they are right. As for
objects, a pixel can therefore raise a suspicion only where predictions of its class with about its
confidence are right 95 times of 100. And a class that the network often misses is no label error
each time: in pixels of the annotated class in all other images, being that sure has to be 19 times
(95 to 5) rarer than in pixels of the class that is suggested.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.analysis.regions import PixelMaps, Region, pixel_maps, regions
from viewfinder.evaluation.analysis.suspect import Suspect
from viewfinder.evaluation.measures.pixel_classes import pixel_confusion
from viewfinder.evaluation.predictions.file import PredictionsFile

_SURE = 0.95
_LEVELS = 101
_NEVER = _LEVELS
_ROUNDING = 1e-6

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class _Joint:
    """The confident joint of confident learning, counted over a split.

    Attributes:
        least: The confidence from which on each predicted class is sure, percent, int64 [C]; more
            than any where it never is.
        sure: Number of pixels annotated with a class (row) that were surely taken for a class
            (column), int64 [C, C].
        given: Number of pixels annotated with each class, int64 [C].
    """

    least: Counts
    sure: Counts
    given: Counts

    def sure_pixels(self, maps: PixelMaps) -> NDArray[np.bool_]:
        """Return where an image's prediction is sure, bool [H, W]."""
        sure: NDArray[np.bool_] = maps.confidence >= self.least[maps.predicted]
        return sure

    def unusual(self, own_sure: Counts, own_given: Counts) -> NDArray[np.bool_]:
        """Return which confusions, bool [C, C], the other images' usual mistakes don't explain.

        Args:
            own_sure: One image's part of ``sure``.
            own_given: One image's part of ``given``.
        """
        others = (self.given - own_given)[:, None]
        usual = (self.sure - own_sure) / np.maximum(others, 1)
        right = self.sure.diagonal() / np.maximum(self.given, 1)
        rare: NDArray[np.bool_] = usual * _SURE <= (1 - _SURE) * right
        return rare & (others > 0)


def mask_suspects(predictions: PredictionsFile) -> list[Suspect]:
    """Return the suspected regions, the least likely label first, among equal ones the largest.

    Args:
        predictions: The predictions for segmentation.
    """
    names = predictions.info.classes
    joint = _joint(predictions, len(names))
    found = [
        Suspect(
            row,
            names[region.given],
            names[region.predicted],
            region.given_confidence,
            region=region,
        )
        for row, maps in enumerate(pixel_maps(predictions))
        for region in _suspected(maps, joint)
    ]
    return sorted(found, key=_order)


def _order(suspect: Suspect) -> tuple[float, int]:
    return suspect.quality, -suspect.region.area if suspect.region else 0


def _suspected(maps: PixelMaps, joint: _Joint) -> Iterator[Region]:
    """Yield the suspected regions of an image."""
    count, sure = len(joint.given), joint.sure_pixels(maps)
    sure_labels = np.where(sure, maps.given, IGNORE).astype(np.uint8)
    own = pixel_confusion(sure_labels, maps.predicted, count)
    of_classes = np.bincount(maps.given[maps.given != IGNORE], minlength=count)
    unusual = joint.unusual(own, of_classes)
    pixels = maps.wrong & sure
    pixels[pixels] = unusual[maps.given[pixels], maps.predicted[pixels]]
    return regions(maps, pixels)


def _joint(predictions: PredictionsFile, count: int) -> _Joint:
    """Count over all images, in one pass; ``count`` is the number of classes."""
    levels = np.zeros((count, count, _LEVELS), np.int64)
    sums = np.zeros(count)
    for maps in pixel_maps(predictions):
        known = maps.given != IGNORE
        given, predicted, confidence = (
            part[known].astype(np.int64) for part in (maps.given, maps.predicted, maps.confidence)
        )
        places = (given * count + predicted) * _LEVELS + confidence
        levels += np.bincount(places, minlength=levels.size).reshape(levels.shape)
        of_given = np.where(maps.wrong, maps.given_confidence, maps.confidence)[known]
        sums += np.bincount(given, of_given, minlength=count)
    given = levels.sum(axis=(1, 2))
    usual = sums / np.maximum(given, 1)
    least = np.array([_least(levels[:, label], label, usual[label]) for label in range(count)])
    sure = [levels[:, label, start:].sum(axis=1) for label, start in enumerate(least)]
    return _Joint(least, np.stack(sure, axis=1), given)


def _least(levels: Counts, label: int, usual: float) -> int:
    """Return the confidence from which on a predicted class is sure, percent.

    Args:
        levels: Pixels that were taken for it, by annotated class and confidence, int64 [C, 101].
        label: The class.
        usual: Its mean probability over the pixels annotated with it, percent.
    """
    totals = levels.sum(axis=0)
    seen = np.flatnonzero(totals)
    if not seen.size:
        return _NEVER
    shares = levels[label, seen] / totals[seen]
    right = IsotonicRegression().fit_transform(seen, shares, sample_weight=totals[seen])
    sure = seen[(right >= _SURE) & (seen >= usual - _ROUNDING)]
    return int(sure[0]) if sure.size else _NEVER
