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
from pathlib import Path

import pytest
from browser import chromium
from PIL import Image
from playwright.sync_api import Page, expect

from viewfinder import tracking
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.page import Facts, write_page

START_SECONDS = 90
PATIENCE = 30_000  # milliseconds


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
