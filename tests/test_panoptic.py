"""Panoptic quality against torchmetrics, and what overlaps and crowds do to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_predictions import made
from numpy.typing import NDArray
from torchmetrics.detection import PanopticQuality as Reference

from viewfinder.evaluation.measures.opening import open_measure
from viewfinder.evaluation.measures.panoptic import (
    QUALITIES,
    ImageMasks,
    PanopticQuality,
    panoptic_counts,
    qualities,
)
from viewfinder.evaluation.predictions.rows import encode_masks

CLASSES = ["cat", "dog", "bird", "never"]
BACKGROUND = len(CLASSES)
SIZE = 40


def rectangle(left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask


def image(
    true: list[tuple[int, NDArray[np.uint8]]],
    found: list[tuple[int, float, NDArray[np.uint8]]],
    crowd: list[bool] | None = None,
) -> ImageMasks:
    return ImageMasks(
        labels=np.array([label for label, _ in true], np.int64),
        crowd=np.array(crowd or [False] * len(true), np.bool_),
        masks=np.array([mask for _, mask in true], np.uint8).reshape(-1, SIZE, SIZE),
        found_labels=np.array([label for label, _, _ in found], np.int64),
        scores=np.array([score for _, score, _ in found]),
        found_masks=np.array([mask for _, _, mask in found], np.uint8).reshape(-1, SIZE, SIZE),
    )


def scene(generator: np.random.Generator) -> ImageMasks:
    """Objects apart from each other; detections near them, mistaken, doubled, unsure."""
    true, found = [], []
    for place in generator.permutation(9)[: generator.integers(0, 8)]:
        left, top = 13 * (place % 3), 13 * (place // 3)
        label = int(generator.integers(0, 3))
        true.append((label, rectangle(left, top, left + 12, top + 12)))
        for _ in range(int(generator.integers(0, 3))):
            shift = generator.integers(-3, 4, 4)
            box = np.array([left, top, left + 12, top + 12]) + shift
            said = label if generator.random() < 0.8 else (label + 1) % 3
            found.append((said, float(generator.random()), rectangle(*box.tolist())))
    return image(true, found)


def painted(masks: ImageMasks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class and number of each pixel, true and found, as the reference program paints them."""
    true, found = (np.full((SIZE, SIZE, 2), (BACKGROUND, 0)) for _ in range(2))
    for number, (label, mask) in enumerate(zip(masks.labels, masks.masks, strict=True), 1):
        true[mask > 0] = label, number
    taken = np.zeros((SIZE, SIZE), bool)
    for number in np.argsort(-masks.scores, kind="stable"):
        mask = masks.found_masks[number] > 0
        if (mask & taken).sum() / mask.sum() > 0.5:
            continue
        found[mask & ~taken] = masks.found_labels[number], number + 1
        taken |= mask
    return true, found


def test_it_equals_torchmetrics() -> None:
    generator = np.random.default_rng(0)
    scenes = [scene(generator) for _ in range(30)]
    reference = Reference(
        things=set(range(len(CLASSES))),
        stuffs={BACKGROUND},
        return_sq_and_rq=True,
        return_per_class=True,
    )
    for masks in scenes:
        true, found = painted(masks)
        reference.update(torch.from_numpy(found)[None], torch.from_numpy(true)[None])
    expected = reference.compute().numpy().reshape(-1, 3)[: len(CLASSES)]
    measure = PanopticQuality(scenes, CLASSES)
    got = measure.by_class()
    assert np.isnan(got[3]).all()
    np.testing.assert_allclose(got[:3], expected[:3], atol=1e-6)
    assert got[:3].min() > 0.1
    assert got[:3].max() < 0.99
    means = measure.headline(np.ones(len(scenes)))
    assert list(means) == list(QUALITIES)
    assert list(means.values()) == pytest.approx(expected[:3].mean(axis=0).tolist(), abs=1e-6)


def test_an_image_that_counts_twice_counts_as_two() -> None:
    generator = np.random.default_rng(1)
    scenes = [scene(generator) for _ in range(10)]
    weights = generator.integers(0, 3, len(scenes))
    repeated = [masks for masks, times in zip(scenes, weights, strict=True) for _ in range(times)]
    weighted = PanopticQuality(scenes, CLASSES).headline(weights.astype(float))
    whole = PanopticQuality(repeated, CLASSES).headline(np.ones(len(repeated)))
    assert weighted == pytest.approx(whole, abs=1e-12)


def counts(masks: ImageMasks) -> list[float]:
    """Sum of IoU, matches, wrong detections and missed objects of the first class."""
    return panoptic_counts(masks, len(CLASSES))[0].tolist()


def test_a_detection_below_its_threshold_is_not_told(tmp_path: Path) -> None:
    corners = [5.0, 5.0, 25.0, 25.0]
    (mask,) = encode_masks(torch.from_numpy(rectangle(5, 5, 25, 25))[None])
    row = {
        **{"height": SIZE, "width": SIZE, "crowd": [False]},
        **{"boxes": [corners], "labels": [0], "masks": [mask]},
        **{"predicted_boxes": [corners], "predicted_labels": [0], "predicted_masks": [mask]},
        "predicted_scores": [0.4],
    }
    for number, (threshold, quality) in enumerate(((None, 0), (0.3, 1))):
        thresholds = None if threshold is None else [threshold, 0.9, 0.9, 0.9]
        table = made(tmp_path / str(number), "instances", CLASSES, [row], thresholds)
        assert open_measure(table).headline(np.ones(1))["panoptic_quality"] == quality


def test_the_surer_detection_keeps_the_pixels() -> None:
    box = rectangle(0, 0, 20, 20)
    below = rectangle(0, 10, 20, 34)
    # The less sure one keeps 14 of its 24 rows; the object below it has just these.
    masks = image([(0, box), (0, rectangle(0, 20, 20, 34))], [(0, 0.8, below), (0, 0.9, box)])
    assert counts(masks) == [2, 2, 0, 0]
    # A detection that lies mostly under a surer one is gone, and is no mistake.
    hidden = image([(0, box)], [(0, 0.9, box), (0, 0.8, rectangle(0, 8, 20, 28))])
    assert counts(hidden) == [1, 1, 0, 0]


def test_what_lies_in_a_crowd_does_not_count() -> None:
    crowd = rectangle(0, 0, 40, 20)
    found = [(0, 0.9, rectangle(5, 5, 15, 15)), (1, 0.9, rectangle(20, 5, 30, 15))]
    masks = image([(0, crowd)], found, crowd=[True])
    assert panoptic_counts(masks, len(CLASSES)).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 0],  # of another class than the crowd
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_without_anything_to_find_it_is_not_defined() -> None:
    measure = PanopticQuality([image([], [])], CLASSES)
    assert np.isnan(list(measure.headline(np.ones(1)).values())).all()
    assert set(measure.reasons) == set(QUALITIES)
    missed = qualities(np.array([[0.0, 0, 0, 2]]))
    assert missed.tolist() == [[0, 0, 0]]
