"""What a person sees of two runs in the real MLflow pages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from browser import chromium
from omegaconf import OmegaConf
from PIL import Image
from playwright.sync_api import Page, expect

from viewfinder import tracking
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.page import Facts, write_page
from viewfinder.tracking.sweep import SweepTracker

START_SECONDS = 90
PATIENCE = 30_000  # milliseconds
LINES = 400  # pixels


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small report with its page."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "plots").mkdir()
    (folder / "tables").mkdir()
    (folder / "tables" / "per_class.csv").write_text("class,count,f1\ncat,80,0.9\n")
    Image.new("RGB", (300, 200), "teal").save(folder / "plots" / "confusion.png")
    facts = Facts("cats", "classification", "pets", 80, 80, {}, {}, "dvc repro evaluate@cats")
    write_page(folder / "report.html", facts, {"accuracy": Figure(0.9, 0.85, 0.95)}, folder)
    return folder


@pytest.fixture(scope="module")
def server(reports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's pages over a store with two runs; returns their address."""
    folder = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        for number, name in enumerate(("small", "large")):
            _log(name, number, reports)
        _sweep()
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", store],
            cwd=folder,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
        )
        try:
            yield _awaited(f"http://127.0.0.1:{port}", process, folder / "server.log")
        finally:
            process.terminate()
            process.wait(timeout=30)


def _log(name: str, number: int, reports: Path) -> None:
    with tracking.open_run(task="classification", name=name, run_id=None, tags={}) as run:
        run.log_params({"model": {"hidden": 64 * (number + 1)}})
        for epoch in range(3):
            losses = {"train/loss": 2 / (epoch + 1), "val/accuracy": 0.3 * epoch}
            run.log_metrics(losses, step=epoch)
            run.log_image(Image.new("RGB", (256, 128 + epoch), "navy"), "val/image_1", epoch)
        run.log_metrics({"test/accuracy": 0.9 + 0.04 * number})
        run.log_artifacts(reports / "plots", "test/plots")
        run.log_artifact(reports / "report.html", "test")


def _sweep() -> None:
    """Log a sweep over two parameters as Hydra's launchers do."""
    tracker = SweepTracker()
    overrides = ["optimizer.lr=0.1,0.2", "model=fpn,unet"]
    task = {"name": "segmentation"}
    tracker.on_multirun_start(
        OmegaConf.create({"task": task, "hydra": {"overrides": {"task": overrides}}})
    )
    for rate, model in product((0.1, 0.2), ("fpn", "unet")):
        chosen = {"overrides": {"task": [f"optimizer.lr={rate}", f"model={model}"]}}
        tracker.on_job_start(OmegaConf.create({"hydra": chosen}))
        with tracking.open_run(task="segmentation", name=f"{model} {rate}", run_id=None) as run:
            run.log_params({"model": {"name": model}, "optimizer": {"lr": rate}})
            run.log_objective(0.5 + rate, "val/mean_iou", "max")
    tracker.on_multirun_end(OmegaConf.create({}))


def _awaited(address: str, process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
    raise AssertionError(f"MLflow did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def page(server: str) -> Iterator[Page]:
    """The runs of the experiment."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(f"{server}/#/experiments")
        page.get_by_text("Model training", exact=True).first.click()
        page.get_by_role("link", name="classification", exact=True).click()
        yield page


def test_two_runs_are_selected_and_compared(page: Page) -> None:
    for name in ("small", "large"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    boxes = page.get_by_role("checkbox", name="toggle row selection")
    for number in range(2):
        boxes.nth(number).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    for text in ("Parallel Coordinates Plot", "model.hidden", "128", "0.94"):
        expect(page.get_by_text(text, exact=True).first).to_be_visible()
    for metric in ("test/accuracy", "val/accuracy", "train/loss"):
        expect(page.get_by_role("link", name=metric, exact=True)).to_be_visible()


def test_a_sweep_is_a_tree_whose_children_stand_side_by_side(page: Page) -> None:
    page.goto(page.url.partition("#")[0] + "#/experiments")
    page.get_by_role("link", name="segmentation", exact=True).click()
    expect(
        page.get_by_role("link", name="sweep optimizer.lr=0.1,0.2 model=fpn,unet")
    ).to_be_visible()
    page.get_by_role("gridcell", name="sweep").get_by_role("button").first.click()
    for name in ("fpn 0.1", "unet 0.1", "fpn 0.2", "unet 0.2"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    boxes = page.get_by_role("checkbox", name="toggle row selection")
    for number in range(1, 5):  # behind the parent's
        boxes.nth(number).check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 4 Runs from 1 Experiment")).to_be_visible()
    axes = page.locator(".parcoords .axis-title")
    expect(axes).to_have_text(["model.name", "optimizer.lr", "objective"])
    end = time.monotonic() + PATIENCE / 1000
    while _coloured(page) < LINES and time.monotonic() < end:
        page.wait_for_timeout(200)
    assert _coloured(page) >= LINES


def _coloured(page: Page) -> int:
    """Count the coloured pixels left of the plot's scale: its lines lie on a canvas."""
    plot = page.locator(".js-plotly-plot").first.screenshot()
    with Image.open(BytesIO(plot)) as picture:
        lines = picture.crop((0, 0, picture.width * 2 // 3, picture.height)).convert("HSV")
    return int((np.asarray(lines)[..., 1] > 60).sum())


def test_a_run_has_curves_pictures_and_its_report(page: Page) -> None:
    page.get_by_role("link", name="large", exact=True).click()
    page.get_by_role("tab", name="Model metrics").click()
    expect(page.get_by_text("large (train/loss)", exact=True).first).to_be_visible()
    page.set_viewport_size({"width": 1440, "height": 2400})  # charts out of sight are not drawn
    expect(page.get_by_text("val/image_1", exact=True)).to_be_visible()
    page.wait_for_function("[...document.images].some(image => image.naturalWidth === 256)")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("test", exact=True).last.click()
    page.get_by_text("report.html", exact=True).last.click()
    report = page.frame_locator("iframe").last
    expect(report.get_by_role("heading", name="cats")).to_be_visible()
    expect(report.get_by_text("0.8500 to 0.9500")).to_be_visible()
    page.get_by_text("plots", exact=True).last.click()
    page.get_by_text("confusion.png", exact=True).last.click()
    as_drawn = "image => image.naturalWidth === 300 && image.naturalHeight === 200"
    page.wait_for_function(f"[...document.images].some({as_drawn})")
