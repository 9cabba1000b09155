"""Split files written as COCO, VOC and YOLO, and read back."""

import io
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask
from hydra.utils import get_method
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from viewfinder.cli import main
from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.readers.coco import read_coco
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.voc import read_voc
from viewfinder.data.readers.yolo import read_yolo
from viewfinder.data.recognition.formats import recognise
from viewfinder.data.schema import SPLITS, Split, SplitInfo, split_path
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.writer import write_split
from viewfinder.data.writers.coco import write_coco
from viewfinder.data.writers.voc import write_voc
from viewfinder.data.writers.yolo import write_yolo
from viewfinder.errors import ViewfinderError

CLASSES = ["Katze & <Hund>", "鸟"]
SIZE = (60, 40)


def png(size: tuple[int, int] = SIZE) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def read_back_coco(archive: Archive) -> Reading:
    annotations: dict[Split, str] = {split: f"annotations/{split}.json" for split in SPLITS}
    return read_coco(archive, annotations=annotations, images={split: split for split in SPLITS})


def read_back_voc(archive: Archive) -> Reading:
    sets: dict[Split, str] = {split: f"ImageSets/Main/{split}.txt" for split in SPLITS}
    return read_voc(archive, sets=sets, classes=CLASSES)


FORMATS = {
    "coco": (write_coco, read_back_coco),
    "voc": (write_voc, read_back_voc),
    "yolo": (write_yolo, read_yolo),
}


def split_files(folder: Path, records: list[Record], annotations: list[str]) -> dict[Any, Any]:
    """Write the records as every one of the three splits."""
    files = {}
    raw = folder / "raw"
    raw.mkdir(parents=True)
    write_zip(raw / "data.zip", [(record.id, png()) for record in records])
    write_checksums(raw)
    with Archive(raw) as archive:
        for split in SPLITS:
            path = folder / split_path("pets", split)
            path.parent.mkdir(parents=True, exist_ok=True)
            info = SplitInfo("pets", split, CLASSES, {})
            write_split(path, records, archive, annotations, info)
            files[split] = SplitFile(path)
    return files


def zipped(folder: Path, target: Path) -> Archive:
    """Pack a written folder, as its user would."""
    target.mkdir()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    members = [(str(path.relative_to(folder)), path.read_bytes()) for path in files]
    write_zip(target / "data.zip", members)
    write_checksums(target)
    return Archive(target)


def round_trip(folder: Path, name: str, records: list[Record]) -> tuple[Reading, list[str]]:
    write, read = FORMATS[name]
    (folder / name).mkdir()
    losses = write(folder / name, split_files(folder, records, ["objects"]))
    with zipped(folder / name, folder / "packed") as archive:
        return read(archive), losses


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Boxes as annotators leave them: fractions, out of frame, without an area."""
    edge = st.floats(-20, 80, width=32) | st.integers(0, 60).map(float)
    left, right = sorted((draw(edge), draw(edge)))
    top, bottom = sorted((draw(edge), draw(edge)))
    return left, top, right, bottom


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@example(objects=[[Object((0.0, 31.51006317138672, 0.0, 31.51006317138672), 0)]])
@given(
    objects=st.lists(
        st.lists(st.builds(Object, bbox=boxes(), category=st.integers(0, 1)), max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_no_box_moves_by_more_than_rounding(name: str, objects: list[list[Object]]) -> None:
    records = [
        Record(f"in/images/{number}.png", objects=tuple(items))
        for number, items in enumerate(objects)
    ]
    with tempfile.TemporaryDirectory() as folder:
        reading, losses = round_trip(Path(folder), name, records)
    assert losses == []
    assert reading.classes == CLASSES
    assert reading.annotations == ["objects"]
    for split in SPLITS:
        found = [record for record in reading.records if record.split == split]
        assert len(found) == len(objects)
        for record, items in zip(found, objects, strict=True):
            assert record.size == SIZE
            assert [item.category for item in record.objects or ()] == [i.category for i in items]
            for item, given_item in zip(record.objects or (), items, strict=True):
                assert item.bbox == pytest.approx(given_item.bbox, abs=1e-5)


def test_coco_keeps_masks_and_crowds(tmp_path: Path) -> None:
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[10:20, 30:50] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))["counts"]
    objects = (Object((30, 10, 50, 20), 1, rle), Object((0, 0, 9, 9), 0, crowd=True))
    reading, losses = round_trip(tmp_path, "coco", [Record("a.png", objects=objects)])
    assert losses == []
    assert all(record.objects == objects for record in reading.records)


def test_voc_says_what_its_corners_count_from(tmp_path: Path) -> None:
    """A side at -1 is written as 0, which alone would tell of boxes that count from 0."""
    objects = (Object((-1, 5, 20, 30), 0), Object((10, 10, 20, 20), 1))
    (tmp_path / "voc").mkdir()
    write_voc(
        tmp_path / "voc", split_files(tmp_path, [Record("a.png", objects=objects)], ["objects"])
    )
    with zipped(tmp_path / "voc", tmp_path / "packed") as archive:
        found = recognise(archive)
        reading = get_method(found.reader)(archive, **found.options)
    assert [record.objects for record in reading.records] == [objects] * 3


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_what_a_format_has_no_place_for_is_counted(tmp_path: Path, name: str) -> None:
    mask = np.ones((SIZE[1], SIZE[0]), np.uint8)
    rle = coco_mask.encode(np.asfortranarray(mask))["counts"]
    objects = (Object((0, 0, 60, 40), 1, rle), Object((0, 0, 9, 9), 0, crowd=True))
    reading, losses = round_trip(tmp_path, name, [Record("a.png", objects=objects)])
    assert len(losses) == 2
    assert all(loss.startswith("3 ") for loss in losses)
    assert [record.objects for record in reading.records] == [(Object((0, 0, 60, 40), 1),)] * 3


def test_images_of_one_name_in_several_folders_stay_apart(tmp_path: Path) -> None:
    records = [Record(f"{folder}/1.png", objects=()) for folder in ("a/b", "b", "c/a/b")]
    reading, _ = round_trip(tmp_path, "yolo", records)
    assert len({record.id for record in reading.records}) == 9
    assert all(record.id.count("/") == 2 for record in reading.records)


@pytest.mark.parametrize("name", FORMATS)
def test_images_that_differ_in_their_extension_only_are_refused(tmp_path: Path, name: str) -> None:
    records = [Record("a.png", objects=()), Record("a.PNG", objects=())]
    with pytest.raises(ViewfinderError, match=r"'a' but for their extension"):
        round_trip(tmp_path, name, records)


def test_a_blank_before_the_extension_is_no_part_of_a_voc_list(tmp_path: Path) -> None:
    names = ["a .png", "a_.png", "b c.png"]
    reading, _ = round_trip(tmp_path, "voc", [Record(name, objects=()) for name in names])
    assert not reading.left_out
    assert len(reading.records) == 9


def test_an_image_without_an_extension_gets_one(tmp_path: Path) -> None:
    reading, _ = round_trip(tmp_path, "coco", [Record("row7", objects=())])
    assert [record.id for record in reading.records] == [f"{split}/row7.png" for split in SPLITS]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Path]:
    """Make a project with split files, and work in it."""

    def make(annotations: list[str]) -> Path:
        record = Record("a.png", label=0, objects=(Object((1, 2, 3, 4), 1),))
        split_files(tmp_path, [record], annotations)
        (tmp_path / "conf").mkdir()
        (tmp_path / "params.yaml").write_text("experiments: {}\n")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("name", FORMATS)
def test_convert_writes_a_folder_that_reads_back(
    project: Callable[[list[str]], Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(["objects"])
    assert main(["convert", "pets", name, "out/here"]) == 0
    assert "train 1, val 1, test 1" in capsys.readouterr().out
    with zipped(folder / "out" / "here", folder / "packed") as archive:
        reading = FORMATS[name][1](archive)
        assert archive.read(reading.records[0].id) == png()
    assert [len(record.objects or ()) for record in reading.records] == [1, 1, 1]


def test_convert_never_overwrites(
    project: Callable[[list[str]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(["objects"])
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    assert main(["convert", "pets", "coco", "out"]) == 1
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (folder / "out").iterdir()] == ["mine.txt"]


def test_a_data_set_without_boxes_is_refused_and_leaves_nothing(
    project: Callable[[list[str]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(["label"])
    before = sorted(folder.iterdir())
    assert main(["convert", "pets", "yolo", "out"]) == 1
    assert "no boxes" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_box_that_shares_cannot_hold_exactly_comes_back_to_the_ninth_digit(
    tmp_path: Path,
) -> None:
    box = (1 / 3, math.pi, 20 / 3, 39.9)
    reading, _ = round_trip(tmp_path, "yolo", [Record("a.png", objects=(Object(box, 0),))])
    (item,) = reading.records[0].objects or ()
    assert item.bbox == pytest.approx(box, abs=1e-5)
    assert item.rle is None
