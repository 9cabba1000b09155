"""Average precision of masks against pycocotools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_predictions import Row, made
from numpy.typing import NDArray
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from viewfinder.evaluation.measures.opening import open_measure

NAMES = ["cat", "dog", "bird"]
SIDE = 160
FIGURES = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
FIGURES += ["mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"]


def disc(x: float, y: float, radius: float) -> NDArray[np.uint8]:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2, np.uint8)


def run_lengths(masks: list[NDArray[np.uint8]]) -> list[bytes]:
    return [mask.encode(np.asfortranarray(one))["counts"] for one in masks]


def scene(generator: np.random.Generator) -> Row:
    """Discs, some of them crowds, and detections near, mistaken, doubled and invented."""
    count = int(generator.integers(0, 7))
    true = [(*generator.uniform(20, 140, 2), generator.uniform(4, 60)) for _ in range(count)]
    labels = generator.integers(0, len(NAMES), count)
    near = [tuple(np.array(one) + generator.normal(0, 2, 3)) for one in true + true[: count // 2]]
    found = [*near, (*generator.uniform(20, 140, 2), 15.0)]
    told = np.concatenate([labels, labels[: count // 2], [0]])
    mistaken = generator.random(len(told)) < 0.2
    return {
        **{"height": SIDE, "width": SIDE},
        "boxes": [[0.0, 0.0, 1.0, 1.0]] * count,
        "labels": labels.tolist(),
        "crowd": (generator.random(count) < 0.15).tolist(),
        "masks": run_lengths([disc(*one) for one in true]),
        "predicted_boxes": [[0.0, 0.0, 1.0, 1.0]] * len(found),
        "predicted_labels": np.where(mistaken, (told + 1) % len(NAMES), told).tolist(),
        "predicted_scores": generator.random(len(found)).round(2).tolist(),  # some are equal
        "predicted_masks": run_lengths([disc(x, y, max(radius, 2)) for x, y, radius in found]),
    }


def of_pycocotools(rows: list[Row]) -> list[float]:
    truth = COCO()
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        for label, crowd, counts in zip(row["labels"], row["crowd"], row["masks"], strict=True):
            coded = {"size": [SIDE, SIDE], "counts": counts}
            annotation = {"image_id": number, "category_id": label, "iscrowd": int(crowd)}
            annotation |= {"segmentation": coded, "area": float(mask.area(coded))}
            annotations.append({**annotation, "id": len(annotations) + 1})
        predicted = (row[f"predicted_{name}"] for name in ("labels", "scores", "masks"))
        for label, score, counts in zip(*predicted, strict=True):
            coded = {"size": [SIDE, SIDE], "counts": counts}
            detection = {"image_id": number, "category_id": label}
            found.append({**detection, "segmentation": coded, "score": score})
    truth.dataset = {
        "images": [
            {"id": number, "height": SIDE, "width": SIDE} for number in range(1, len(rows) + 1)
        ],
        "categories": [{"id": label} for label in range(len(NAMES))],
        "annotations": annotations,
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def test_masks_equal_pycocotools(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [scene(generator) for _ in range(40)]
    measure = open_measure(made(tmp_path, "instances", NAMES, rows))
    got = measure.headline(np.ones(len(rows))) | measure.others()
    assert 0.1 < got["mask_map"] < 0.9
    ours = [got[f"mask_{name}"] for name in FIGURES]
    assert ours == pytest.approx(of_pycocotools(rows), abs=1e-6)
