"""Curves of precision and recall, and of true and false positives."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from viewfinder.evaluation.measures.ranking import Ranking
from viewfinder.evaluation.ranking_curves import (
    Curve,
    Scored,
    draw_precision_recall,
    draw_roc,
    precision_recall_curves,
    roc_curves,
)


def scored(
    present: NDArray[np.bool_], scores: NDArray[np.float64], names: list[str]
) -> tuple[Callable[[int], Scored], dict[int, str]]:
    """Return what the curves are made of, of arrays [N, C]."""
    return lambda label: (present[:, label], scores[:, label]), dict(enumerate(names))


def test_curves_have_the_areas_that_the_metrics_report() -> None:
    generator = np.random.default_rng(0)
    present = generator.random((200, 3)) < 0.3
    scores = generator.random((200, 3)) + 0.4 * present
    every = np.ones(200)
    rankings = [Ranking(*pair) for pair in zip(present.T, scores.T, strict=True)]
    pairs = zip(
        rankings,
        precision_recall_curves(*scored(present, scores, list("abc"))),
        roc_curves(*scored(present, scores, list("abc"))),
        strict=True,
    )
    for ranking, precision, roc in pairs:
        assert precision.area == pytest.approx(ranking.average_precision(every), abs=1e-9)
        assert roc.area == pytest.approx(ranking.roc_auc(every), abs=1e-9)


def test_a_class_without_images_has_no_curve() -> None:
    present = np.array([[True, False, True], [False, False, True]])
    scores = np.array([[0.9, 0.2, 0.8], [0.1, 0.3, 0.7]])
    names = ["some", "none", "every"]
    assert [curve.name for curve in precision_recall_curves(*scored(present, scores, names))] == [
        "some",
        "every",
    ]
    assert [curve.name for curve in roc_curves(*scored(present, scores, names))] == ["some"]


@pytest.mark.parametrize("curves", [precision_recall_curves, roc_curves])
def test_curves_of_many_classes_take_little_memory(curves: Callable[..., list[Curve]]) -> None:
    images, classes = 3000, 60
    generator = np.random.default_rng(2)
    scores = generator.random((images, classes))
    present = generator.random(scores.shape) < scores
    names = [str(number) for number in range(classes)]
    curves(*scored(present, scores, names[:1]))  # imports take memory too
    tracemalloc.start()
    found = curves(*scored(present, scores, names))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    across, up = found[0].trace()
    assert len(found) == classes
    assert kept < classes * (across.nbytes + up.nbytes) / 4


@pytest.mark.parametrize("classes", [0, 2, 30])
def test_any_number_of_curves_can_be_drawn(classes: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    present = generator.random((60, classes)) < 0.4
    scores = generator.random((60, classes))
    names = [f"a class with a long name and a $ sign, {number}" for number in range(classes)]
    pictures = (tmp_path / "precision.png", tmp_path / "roc.png")
    curves = precision_recall_curves(*scored(present, scores, names))
    draw_precision_recall(pictures[0], curves, heading="classes")
    draw_roc(pictures[1], roc_curves(*scored(present, scores, names)), heading="classes")
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) >= 400
