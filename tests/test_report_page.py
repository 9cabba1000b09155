"""The report on an experiment as a page, and whether probabilities mean what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Scheme, check_page
from made_predictions import FACTS, made, objects, report
from PIL import Image
from torchmetrics.functional.classification import multiclass_calibration_error

from viewfinder.evaluation.calibration import draw_reliability, reliability
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.intervals import figures
from viewfinder.evaluation.measures.opening import open_measure
from viewfinder.evaluation.page import write_page

METRICS = {
    "accuracy": Figure(0.9, 0.85, 0.95),
    "log_loss": Figure(0.3),
    "roc_auc": Figure(None, reason="the images show one class only"),
}


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "tables").mkdir()
    (tmp_path / "plots").mkdir()
    table = "class,count,f1\n<b>cat,80,1.0\ndog,40,\n"
    (tmp_path / "tables" / "per_class.csv").write_text(table)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "plots" / "confusion.png")
    write_page(tmp_path / "report.html", FACTS, METRICS, tmp_path)
    return (tmp_path / "report.html").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a detector that makes every kind of mistake."""
    generator = np.random.default_rng(0)

    def box() -> list[float]:
        corner, size = generator.uniform(0, 30, 2), generator.uniform(8, 30, 2)
        return [*corner, *(corner + size)]

    def row() -> dict[str, Any]:
        true = [(int(generator.integers(8)), box()) for _ in range(4)]
        found = [(label, generator.uniform(0.3, 1), place) for label, place in true[1:]]
        wrong = [(int(generator.integers(8)), generator.uniform(0.2, 1), box()) for _ in range(2)]
        return objects(true, [*found, *wrong], brightness=generator.random())

    names = [f"a class with a long name {number}" for number in range(8)]
    folder = tmp_path_factory.mktemp("whole")
    file = made(folder, "detection", names, [row() for _ in range(60)], [0.5] * 8)
    report(file)
    metrics = figures(open_measure(file), file.groups(), 20)
    write_page(folder / "report.html", FACTS, metrics, folder)
    return folder / "report.html"


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    assert not re.findall(r"https?://|<link|<script|url\(", page)
    assert page.count("data:image/webp;base64,") == 1


def test_the_page_says_how_sure_each_figure_is(page: str) -> None:
    assert "0.8500 to 0.9500" in page
    assert "left:85.00%;width:10.00%" in page
    assert "not defined: the images show one class only" in page
    assert re.search(r"log_loss</td><td class=\"n\">0\.3000", page)
    assert ">40</b><span>groups of them" in page


def test_an_operating_point_has_its_table_behind_what_needs_no_threshold(
    page: str, tmp_path: Path
) -> None:
    assert "Operating point" not in page
    table = "class,threshold,objects,told,precision,recall,f1\ncat,0.41,9,7,1.0,0.77778,0.875\n"
    (tmp_path / "tables" / "operating_point.csv").write_text(table)
    metrics = {name: Figure(0.5, 0.4, 0.6) for name in ("f1", "map", "map_50", "map_75", "recall")}
    write_page(tmp_path / "report.html", FACTS, metrics, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "<h2>Operating point</h2>" in text
    assert '<td class="n">0.4100</td><td class="n">9</td><td class="n">7</td>' in text
    tiles = re.findall(r"</b><span>(\w+)</span>", text)
    assert [tile for tile in tiles if tile in metrics] == ["map", "map_50", "map_75"]


def test_metrics_without_an_interval_lead_all_the_same(page: str, tmp_path: Path) -> None:
    metrics = {"accuracy": Figure(0.9, reason="no interval: too few"), "log_loss": Figure(0.3)}
    write_page(tmp_path / "report.html", FACTS, metrics, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert re.findall(r"</b><span>(\w+)</span>", text) == ["accuracy"]
    assert 'ends">no interval: too few</span>' in text
    assert "<i style" not in text


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_whole_report_is_small_and_shows_well(whole: Path, width: int, scheme: Scheme) -> None:
    assert 200_000 < whole.stat().st_size < 5_000_000
    check_page(whole, width=width, scheme=scheme)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_whole(
    page: str, tmp_path: Path, width: int, scheme: Scheme
) -> None:
    check_page(tmp_path / "report.html", width=width, scheme=scheme)


def test_names_are_text_and_never_markup(page: str) -> None:
    assert "cats &lt;against&gt; dogs" in page
    assert "&lt;b&gt;cat" in page
    assert "<b>cat" not in page


def test_figures_of_classes_have_the_same_digits(page: str) -> None:
    assert '<td class="n">80</td><td class="n">1.0000</td>' in page
    assert '<td class="n">40</td><td class="n"></td>' in page


def test_the_calibration_error_equals_that_of_torchmetrics() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(5) * 0.6, 500).astype(np.float32)
    labels = generator.integers(0, 5, 500)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=5, n_bins=15
    )
    assert reliability([(labels, probabilities)]).error == pytest.approx(float(expected), abs=1e-6)


def test_honest_probabilities_are_calibrated_and_boasting_is_seen(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.5, 1, 20_000)
    labels = (generator.random(20_000) >= confidence).astype(np.int64)
    honest = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    boasting = np.stack([np.sqrt(confidence), 1 - np.sqrt(confidence)], axis=1).astype(np.float32)
    assert reliability([(labels, honest)]).error < 0.015
    found = reliability([(labels, boasting)])
    assert found.error == pytest.approx(float((np.sqrt(confidence) - confidence).mean()), abs=0.01)
    assert found.counts.sum() == 20_000
    draw_reliability(tmp_path / "calibration.png", {"boasting": found})
    with Image.open(tmp_path / "calibration.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 5
