"""The data report: its numbers, its page and the summary in the terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from split_project import STRATIFIED, encode, make_project, members, output, pets, picture, report

from viewfinder.cli import main


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A divided data set with boxes, of which two are wrong."""
    reader = {"_target_": "readers_for_tests.read_boxes"}
    project = make_project(tmp_path, pets(), STRATIFIED, **reader)
    monkeypatch.chdir(project)
    assert main(["split", "pets"]) == 0
    return project


def test_images_objects_and_classes_are_counted(boxes: Path) -> None:
    document = report(boxes)
    splits = document["splits"].values()
    assert sum(part["images"] for part in splits) == 40
    assert sum(part["objects"] for part in splits) == 50
    assert sum(part["by_class"]["dog"] for part in splits) == 30
    assert sum(part["images_by_class"]["dog"] for part in splits) == 30
    assert document["co_occurrence"] == [[20, 10], [10, 30]]
    assert document["objects"]["of_an_image"] == {"1": 30, "2": 10}
    assert document["objects"]["median_by_class"]["cat"] == {"width": 24, "height": 36}
    assert sum(document["objects"]["relative_size"]) == 50


def test_boxes_that_cannot_be_right_are_listed(boxes: Path) -> None:
    found = report(boxes)["boxes"]
    assert [box["id"] for box in found["empty"]] == ["cat/0.png"]
    assert [box["id"] for box in found["out_of_frame"]] == ["cat/1.png"]
    assert found["out_of_frame"][0]["bbox"] == [-8, 4, 30, 60]


def test_pixel_statistics_are_those_of_the_training_images(boxes: Path) -> None:
    seed_of = {
        f"{name}/{index}.png": 1000 * label + index
        for label, name in enumerate(("cat", "dog"))
        for index in range(20)
    }
    train = np.stack([picture(seed_of[name]) for name in members(boxes)["train"]]) / 255
    found = report(boxes)["pixels_of_train"]
    np.testing.assert_allclose(found["mean"], train.mean(axis=(0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(found["std"], train.std(axis=(0, 1, 2)), atol=1e-4)


def test_the_page_needs_nothing_else_and_shows_pictures(boxes: Path) -> None:
    page = (output(boxes) / "report.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 40
    assert not re.search(r"(?:src|href)=\"(?!data:)|https?://|@import|url\(", page)
    assert "cat/0.png" in page
    assert "prefers-color-scheme: dark" in page
    assert len(page) < 3_000_000


def test_names_from_the_data_are_text_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name.replace("dog", "<b>ïnü"): content for name, content in pets(5).items()}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", "pets"]) == 0
    page = (output(tmp_path) / "report.html").read_text("utf-8")
    assert "&lt;b&gt;ïnü" in page
    assert "<b>ïnü" not in page.replace("<b><b>", "")


def test_duplicates_are_shown_with_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pets()
    files["dog/copy.png"] = files["cat/3.png"]
    files["dog/near.jpg"] = encode(picture(1004), "JPEG", quality=70)
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", "pets"]) == 0
    page = (output(tmp_path) / "report.html").read_text("utf-8")
    against = page[page.index("Equal pixels, different classes") : page.index("look alike")]
    assert against.count("<img ") == 2
    assert page[page.index("look alike") :].count("<img ") == 2


def test_the_same_data_gives_the_same_report(boxes: Path) -> None:
    before = [(output(boxes) / name).read_bytes() for name in ("report.json", "report.html")]
    assert main(["split", "pets"]) == 0
    after = [(output(boxes) / name).read_bytes() for name in ("report.json", "report.html")]
    assert before == after


def test_the_summary_in_the_terminal(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["data", "pets"]) == 0
    said = capsys.readouterr().out
    for text in ("40 (train", "Objects by class", "cat/0.png", "boxes without area: 1"):
        assert text in said
    assert "report.html" in said


def test_the_summary_before_the_split_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(4), STRATIFIED))
    assert main(["data", "pets"]) == 1
    assert "dvc repro split@pets" in capsys.readouterr().err


def test_neither_the_split_nor_the_summary_imports_torch(boxes: Path) -> None:
    code = (
        "import sys; from viewfinder.cli import main; "
        "assert main(['split', 'pets']) == 0 and main(['data', 'pets']) == 0; "
        "assert not {'torch', 'mlflow', 'pytorch_lightning', 'albumentations'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=boxes, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_run_carries_the_page_of_its_data(clone: Path) -> None:
    client = MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("classification")
    assert experiment is not None
    for item in client.search_runs([experiment.experiment_id]):
        paths = {entry.path for entry in client.list_artifacts(item.info.run_id, "data")}
        assert paths == {"data/report.html"}
