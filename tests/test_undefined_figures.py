"""Figures that nothing defines: blank or told why, never 0."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_predictions import made, masks, objects, report, table

NAMES = ["cat", "dog", "bird"]
BLANK = ""


def figures(folder: Path, name: str) -> tuple[str, str, str]:
    """Precision, recall and F1 of a class, as the table has them."""
    (row,) = (row for row in table(folder, "per_class") if row["class"] == name)
    return row["precision"], row["recall"], row.get("f1") or row.get("dice", BLANK)


def test_classes_without_images_or_predictions(tmp_path: Path) -> None:
    sure = {"cat": [0.8, 0.1, 0.1], "bird": [0.1, 0.1, 0.8]}
    rows = [{"label": 0, "probabilities": sure["cat"]}] * 6
    rows += [{"label": 1, "probabilities": sure["bird"]}] * 4
    folder = report(made(tmp_path, "classification", NAMES, rows))
    assert figures(folder, "cat") == ("1.0", "1.0", "1.0")
    assert figures(folder, "dog") == (BLANK, "0.0", "0.0")
    assert figures(folder, "bird") == ("0.0", BLANK, "0.0")


def test_classes_that_no_image_shows_and_that_are_never_told(tmp_path: Path) -> None:
    row = {
        "labels": [True, False, False],
        "probabilities": [0.3, 0.8, 0.1],
        "present": [False, True, False],
    }
    folder = report(made(tmp_path, "multilabel", NAMES, [row] * 8, [0.5] * 3))
    assert figures(folder, "cat") == (BLANK, "0.0", "0.0")
    assert figures(folder, "dog") == ("0.0", BLANK, "0.0")
    assert figures(folder, "bird") == (BLANK, BLANK, BLANK)


def test_each_class_of_several_is_a_question_of_its_own(tmp_path: Path) -> None:
    row = {"labels": [True, False], "probabilities": [0.9, 0.6], "present": [True, True]}
    folder = report(made(tmp_path, "multilabel", NAMES[:2], [row] * 8, [0.5] * 2))
    error = json.loads((folder / "metrics.json").read_text())["calibration_error"]["value"]
    assert error == pytest.approx((0.1 + 0.6) / 2, abs=1e-4)
    assert (folder / "plots" / "calibration.png").stat().st_size > 5_000


def test_masks_without_any_pixel_that_counts(tmp_path: Path) -> None:
    row = masks(np.full((64, 64), 255), np.zeros((64, 64), np.int64), np.full((64, 64), 99))
    folder = report(made(tmp_path, "segmentation", ["background", "cat"], [row] * 8))
    assert figures(folder, "cat") == (BLANK, BLANK, BLANK)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {figure["value"] for figure in metrics.values()} == {None}
    assert metrics["pixel_accuracy"]["reason"] == "no pixel has a known class"


def test_a_detector_that_finds_nothing(tmp_path: Path) -> None:
    row = objects([(0, (1, 1, 20, 20))], [])
    folder = report(made(tmp_path, "detection", NAMES, [row] * 8, [0.5] * 3))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["map"]["value"] == metrics["recall"]["value"] == 0
    assert metrics["precision"] == {
        "value": None,
        "reason": "no detection reaches its class's threshold",
    }
    by_class = {row["class"]: row["ap"] for row in table(folder, "per_class")}
    assert by_class == {"cat": "0.0", "dog": BLANK, "bird": BLANK}


@pytest.mark.parametrize(("images", "known"), [(5, False), (6, True)])
def test_a_metric_of_few_images_says_why_it_has_no_interval(
    tmp_path: Path, images: int, known: bool
) -> None:
    rows = [{"label": 0, "probabilities": [0.8, 0.1, 0.1]}] * images
    folder = report(made(tmp_path, "classification", NAMES, rows))
    accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
    expected = {"value": 1.0}
    expected |= {"low": 1.0, "high": 1.0} if known else {"reason": accuracy.get("reason")}
    assert accuracy == expected
    assert known or "fewer than 6 images" in accuracy["reason"]
