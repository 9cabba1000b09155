"""The data report: its numbers, its page and the summary in the terminal."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Scheme, check_page
from split_project import STRATIFIED, encode, make_project, members, output, pets, picture, report

from viewfinder.cli import main
from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.readers.record import MaskFile, Reading, Record
from viewfinder.data.report.document import Outcome, write_document
from viewfinder.data.report.page import write_page
from viewfinder.data.report.split_rows import SplitRows
from viewfinder.data.schema import SPLITS, SplitInfo, split_schema
from viewfinder.data.shards import ShardWriter
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.assign import Assignment
from viewfinder.data.splits.pixels import decode
from viewfinder.data.splits.scan import scan_images
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.analysis.class_frequency import training_images


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


def test_training_images_of_a_class_are_those_that_hold_it(boxes: Path) -> None:
    train = report(boxes)["splits"]["train"]
    assert training_images("pets", boxes, ["background", "dog", "cat"]).tolist() == [
        train["images"],
        train["images_by_class"]["dog"],
        train["images_by_class"]["cat"],
    ]
    (output(boxes) / "report.json").unlink()
    with pytest.raises(ViewfinderError, match=r"dvc repro split@pets"):
        training_images("pets", boxes, ["dog"])


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


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_browser_shows_the_page_whole(boxes: Path, width: int, scheme: Scheme) -> None:
    check_page(output(boxes) / "report.html", width=width, scheme=scheme)


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


def test_of_many_copies_those_of_other_classes_are_shown_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = pets()
    files |= {f"cat/copy{number}.png": files["cat/3.png"] for number in range(6)}
    files["dog/copy.png"] = files["cat/3.png"]
    files |= {f"dog/same{number}.png": files["dog/3.png"] for number in range(6)}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", "pets"]) == 0
    page = (output(tmp_path) / "report.html").read_text("utf-8")
    against = page[page.index("Equal pixels, different classes") : page.index("same classes")]
    assert against.count("<img ") == 4
    assert "dog/copy.png" in against
    assert "and 4 more" in against
    assert main(["data", "pets"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "cat/3.png (cat) = dog/copy.png (dog) = cat/copy0.png (cat)" in printed
    assert printed.count("and 4 more") == 2
    assert printed.count("and 3 more") == 1


@pytest.mark.parametrize("content", ["", '{"dataset": "pets"', "[]", '{"classes": []}'])
def test_a_report_that_is_damaged_is_named_with_its_mend(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    monkeypatch.chdir(make_project(tmp_path, pets(), STRATIFIED))
    output(tmp_path).mkdir(parents=True)
    (output(tmp_path) / "report.json").write_text(content)
    assert main(["data", "pets"]) == 1
    error = capsys.readouterr().err
    assert "report.json is " in error
    assert "dvc repro --force split@pets" in error


def test_semantic_masks_are_counted_and_drawn(tmp_path: Path) -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[:10], mask[10:12] = 1, 255
    images = {f"{split}.png": encode(grey) for split in SPLITS}
    masks = {f"masks/{name}": encode(mask) for name in images}
    records = [Record(id=name, mask=MaskFile(f"masks/{name}")) for name in images]
    raw = tmp_path / "raw"
    raw.mkdir()
    write_zip(raw / "roads.zip", (images | masks).items())
    write_checksums(raw)
    with Archive(raw) as archive:
        scan = scan_images(Reading(["road", "sky"], ["mask"], records), archive)
    assignment: Assignment = {
        split: [record] for split, record in zip(SPLITS, scan.records, strict=True)
    }
    for split in SPLITS:
        info = SplitInfo("roads", split, ["road", "sky"], {})
        row = {
            "id": f"{split}.png",
            "image": {"bytes": images[f"{split}.png"], "path": None},
            "width": 40,
            "height": 40,
            "group": None,
            "mask": {"bytes": encode(mask), "path": None},
        }
        with ShardWriter(tmp_path / split, split_schema(["mask"], info)) as shards:
            shards.write(row, len(images[f"{split}.png"]))
    outcome = Outcome("roads", ["road", "sky"], scan.records, assignment, scan, [], [], [])
    with SplitRows(tmp_path, assignment) as rows:
        document = write_document(outcome, rows)
        write_page(tmp_path / "report.html", document, rows)
    assert document["masks"] == {
        "share_by_class": {"road": 0.7, "sky": 0.25},
        "share_ignored": 0.05,
    }
    assert document["co_occurrence"] == [[3, 3], [3, 3]]
    page = (tmp_path / "report.html").read_text("utf-8")
    encoded = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(encoded) == 6  # in the sheet and as duplicates
    drawn = decode(base64.b64decode(encoded[0])).astype(int)
    top, ignored, bottom = (drawn[int(row * len(drawn)), 100] for row in (0.1, 0.275, 0.7))
    assert abs(ignored - 128).max() < 12
    assert abs(top - bottom).max() > 30


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


def test_without_augmentations_neither_the_split_nor_the_summary_imports_torch(boxes: Path) -> None:
    code = (
        "import sys; from viewfinder.cli import main; "
        "assert main(['split', 'pets']) == 0 and main(['data', 'pets']) == 0; "
        "assert not {'torch', 'mlflow', 'pytorch_lightning', 'albumentations'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=boxes, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_box_far_outside_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, bytes] = {"data.yaml": b"train: images\nnames: [a, b]\n"}
    for number in range(12):
        files[f"images/{number}.png"] = encode(picture(number))
        files[f"labels/{number}.txt"] = b"0 .5 .5 .1 .1"
    files["labels/3.txt"] = b"0 1e9 .5 .1 .1\n1 .5 -1e9 .1 .1"
    reader = {"_target_": "viewfinder.data.readers.yolo.read_yolo"}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED, **reader))
    assert main(["split", "pets"]) == 0
    assert len(report(tmp_path)["boxes"]["out_of_frame"]) == 2
    assert (output(tmp_path) / "report.html").is_file()


def test_names_in_brackets_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name.replace("cat/", "cat[b]/"): content for name, content in pets(6).items()}
    files["dog/x[red].png"] = files["cat[b]/1.png"]
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", "pets"]) == 0
    assert main(["data", "pets"]) == 0
    shown = capsys.readouterr().out
    assert "cat[b]" in shown
    assert "dog/x[red].png" in shown
