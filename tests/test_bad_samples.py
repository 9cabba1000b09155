"""Every defect that a sample can have: named with its mend, or left out and listed."""

import json
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from split_project import (
    NAME,
    STRATIFIED,
    encode,
    make_project,
    members,
    output,
    pets,
    picture,
    report,
)
from test_download import unprivileged

from viewfinder.cli import main
from viewfinder.data.archive import write_checksums

SIDE = 48
COUNT = 14
READERS = "viewfinder.data.readers."


@dataclass(frozen=True)
class Case:
    """A defect in an otherwise sound data set.

    Attributes:
        sound: The data set's files.
        changes: The files that the defect changes; None takes one away.
        reader: The reader and its options.
        bad: What is left out, with words that its reason must hold.
    """

    sound: Mapping[str, bytes]
    changes: Mapping[str, bytes | None]
    reader: Mapping[str, Any]
    bad: Mapping[str, tuple[str, ...]]
    split: Mapping[str, Any] = field(default_factory=lambda: STRATIFIED)

    @property
    def files(self) -> dict[str, bytes]:
        changed = {**self.sound, **self.changes}
        return {name: content for name, content in changed.items() if content is not None}


def photo(number: int, kind: str = "PNG", side: int = SIDE) -> bytes:
    return encode(picture(number, side), kind)


# --- boxes in Pascal VOC files beside their images


def xml(*box: float | str, name: str = "cat") -> bytes:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    return (
        f"<annotation><size><width>{SIDE}</width><height>{SIDE}</height></size><object>"
        f"<name>{name}</name><bndbox>{sides}</bndbox></object></annotation>"
    ).encode()


VOC = {f"i/{n}.png": photo(n) for n in range(COUNT)} | {
    f"i/{n}.xml": xml(4, 5, 30, 40, name=("cat", "dog")[n % 2]) for n in range(COUNT)
}
VOC_READER = {"_target_": f"{READERS}voc.read_voc_folders", "classes": ["cat", "dog"]}


def voc(changes: Mapping[str, bytes | None], **bad: tuple[str, ...]) -> Case:
    return Case(VOC, changes, VOC_READER, {f"i/{name}": words for name, words in bad.items()})


# --- index masks


def mask(*values: int, side: int = SIDE) -> bytes:
    pixels = np.zeros((side, side), np.uint8)
    for row, value in enumerate(values):
        pixels[row] = value
    return encode(pixels)


MASKS = {f"i/{n}.png": photo(n) for n in range(COUNT)} | {
    f"m/{n}.png": mask(1) for n in range(COUNT)
}
MASK_READER = {
    "_target_": f"{READERS}index_masks.read_mask_folders",
    "classes": ["road", "sky"],
    "images": "i",
    "masks": "m",
}


def masks(changes: Mapping[str, bytes | None], **bad: tuple[str, ...]) -> Case:
    return Case(MASKS, changes, MASK_READER, {f"i/{name}": words for name, words in bad.items()})


# --- a list of images and classes, and YOLO and COCO


def table(*more: str) -> bytes:
    rows = [f"{n}.png,{('cat', 'dog')[n % 2]}" for n in range(COUNT)]
    return "\n".join(["image,label", *rows, *more]).encode()


TABLE = {f"i/{n}.png": photo(n) for n in range(COUNT + 1)} | {"list.csv": table(f"{COUNT}.png,cat")}
TABLE_READER = {
    "_target_": f"{READERS}table.read_table",
    "tables": "list.csv",
    "root": "i",
    "classes": ["cat", "dog"],
}
LAST = f"i/{COUNT}.png"

YOLO = (
    {f"train/images/{n}.png": photo(n) for n in range(COUNT)}
    | {f"train/labels/{n}.txt": b"0 0.5 0.5 0.2 0.2\n" for n in range(COUNT)}
    | {"data.yaml": b"names: [cat]\ntrain: train/images\n"}
)
YOLO_READER = {"_target_": f"{READERS}yolo.read_yolo"}
OFFICIAL = {
    "_target_": "viewfinder.data.splits.assign.official_split",
    "_partial_": True,
    "val": 0.2,
    "test": 0.2,
}


def coco(**annotation: Any) -> bytes:
    """Return a COCO file of which the first annotation is as given."""
    images = [
        {"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(COUNT)
    ]
    boxes = [{"id": n, "image_id": n, "category_id": 7, "bbox": [4, 4, 9, 9]} for n in range(COUNT)]
    boxes[0] |= annotation
    categories = [{"id": 7, "name": "cat"}]
    document = {"images": images, "annotations": boxes, "categories": categories}
    return json.dumps(document).encode()


COCO = {f"t/{n}.png": photo(n) for n in range(COUNT)} | {"a.json": coco()}
COCO_READER = {
    "_target_": f"{READERS}coco.read_coco",
    "annotations": {"train": "a.json"},
    "images": {"train": "t"},
}


# --- class folders

PETS = pets(8)
FOLDERS = {"_target_": f"{READERS}folders.read_class_folders", "classes": ["cat", "dog"]}
WHOLE = photo(99, "JPEG", 256)


def folders(changes: Mapping[str, bytes | None], bad: str, *words: str) -> Case:
    return Case(PETS, changes, FOLDERS, {bad: words})


CASES = {
    "a truncated JPEG": folders(
        {"cat/cut.jpg": WHOLE[: len(WHOLE) // 2]}, "cat/cut.jpg", "truncated"
    ),
    "a text file named .jpg": folders(
        {"cat/text.jpg": b"no picture"}, "cat/text.jpg", "not a readable image", "10 bytes"
    ),
    "a zero-byte file": folders({"dog/none.png": b""}, "dog/none.png", "0 bytes"),
    "a folder that is no class": folders(
        {"cow/1.png": photo(1)}, "cow/1.png", "'cow'", "cat, dog"
    ),
    "an image in no class folder": folders({"1.png": photo(1)}, "1.png", "without a label"),
    "a missing annotation": Case(
        VOC, {"i/3.xml": None}, VOC_READER, {"i/3.png": ("without a label", "XML file", "Add it")}
    ),
    "an annotation without an image": Case(
        VOC, {"i/x.xml": xml(1, 1, 2, 2)}, VOC_READER, {"i/x.xml": ("not there", "Add the image")}
    ),
    "an unknown class": voc(
        {"i/3.xml": xml(1, 1, 9, 9, name="cow")}, **{"3.png": ("'cow'", "cat, dog", "3.xml")}
    ),
    "a box with a side that is no number": voc(
        {"i/3.xml": xml("1e9999999", 1, 9, 9)}, **{"3.png": ("1e9999999", "four numbers")}
    ),
    "a box with an infinite side": voc(
        {"i/3.xml": xml("inf", 2, 9, 9)}, **{"3.png": ("[inf, 1.0, '9', '9']", "four numbers")}
    ),
    "a reversed box": voc(
        {"i/3.xml": xml(9, 1, 2, 9)}, **{"3.png": ("8.0, 0.0, 2.0, 9.0", "reversed", "Swap")}
    ),
    "an annotation cut short": voc({"i/3.xml": b"<annotation>"}, **{"3.png": ("3.xml", "XML")}),
    "an image of another size": voc(
        {"i/3.png": photo(3, side=20)}, **{"3.png": ("20 x 20", "48 x 48")}
    ),
    "two images of one name": voc(
        {"i/3.jpg": photo(70, "JPEG")},
        **{"3.png": ("extension", "Rename"), "3.jpg": ("extension", "Rename")},
    ),
    "a mask of another size": masks(
        {"m/3.png": mask(1, side=20)}, **{"3.png": ("m/3.png", "20 x 20", "48 x 48")}
    ),
    "a mask value beyond the classes": masks(
        {"m/3.png": mask(1, 7)}, **{"3.png": ("m/3.png", "[7]", "0 to 1", "255")}
    ),
    "a mask that is no image": masks({"m/3.png": b"text"}, **{"3.png": ("m/3.png", "not a")}),
    "a mask of colours": masks({"m/3.png": photo(3)}, **{"3.png": ("colours", "RGB")}),
    "a missing mask": masks({"m/3.png": None}, **{"3.png": ("without a label", "'m'")}),
    "a mask without an image": Case(
        MASKS, {"m/x.png": mask(1)}, MASK_READER, {"m/x.png": ("not there",)}
    ),
    "an image listed twice": Case(
        TABLE, {"list.csv": table(*[f"{COUNT}.png,dog"] * 2)}, TABLE_READER,
        {LAST: ("2 times", "one row")},
    ),
    "an image that no row lists": Case(
        TABLE, {"list.csv": table()}, TABLE_READER, {LAST: ("without a label", "List it")}
    ),
    "a row without an image": Case(
        TABLE, {LAST: None}, TABLE_READER, {LAST: ("row 15", "list.csv", "not there")}
    ),
    "a row of an unknown class": Case(
        TABLE, {"list.csv": table(f"{COUNT}.png,cow")}, TABLE_READER,
        {LAST: ("row 15", "'cow'", "cat, dog")},
    ),
    "a YOLO class beyond the names": Case(
        YOLO, {"train/labels/3.txt": b"4 0.5 0.5 0.2 0.2"}, YOLO_READER,
        {"train/images/3.png": ("3.txt", "'4'", "0 to 0")}, OFFICIAL,
    ),
    "a COCO box reversed": Case(
        COCO, {"a.json": coco(bbox=[9, 9, -4, 2])}, COCO_READER,
        {"t/0.png": ("annotation 0", "reversed")}, OFFICIAL,
    ),
    "a COCO category that there is not": Case(
        COCO, {"a.json": coco(category_id=9)}, COCO_READER,
        {"t/0.png": ("annotation 0", "9", "[7]")}, OFFICIAL,
    ),
    "a COCO image that is not there": Case(
        COCO, {"t/3.png": None}, COCO_READER, {"t/3.png": ("t/3.png",)}, OFFICIAL
    ),
    "a COCO annotation of no image": Case(
        COCO, {"a.json": coco(image_id=99)}, COCO_READER,
        {"annotation 0 of 'a.json'": ("image_id 99", "not there")}, OFFICIAL,
    ),
}  # fmt: skip


def split(folder: Path, case: Case, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    make_project(folder, case.files, {**case.split, **options}, **case.reader)
    monkeypatch.chdir(folder)
    return main(["split", NAME])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_bad_sample_stops_the_stage_with_its_name_and_mend(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, case, monkeypatch) == 1
    error = capsys.readouterr().err
    for name, words in case.bad.items():
        (line,) = (line for line in error.splitlines() if line.startswith(f"  {name!r}: "))
        assert all(word in line for word in words), line
    assert f"{len(case.bad)} of" in error
    assert "pets.zip" in error
    assert "on_error: skip" in error
    assert not output(tmp_path).exists()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_bad_sample_is_left_out_and_listed_if_so_asked(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, case, monkeypatch, on_error="skip") == 0
    listed = {item["id"]: item["reason"] for item in report(tmp_path)["left_out"]}
    assert listed.keys() == case.bad.keys()
    for name, words in case.bad.items():
        assert all(word in listed[name] for word in words), listed[name]
        assert str(tmp_path) not in listed[name]
    warning = f"samples that can't be used were left out: {len(case.bad)}"
    assert warning in capsys.readouterr().err
    kept = sorted(name for ids in members(tmp_path).values() for name in ids)
    images = [name for name in case.files if name.endswith((".png", ".jpg")) and name[:2] != "m/"]
    assert kept == sorted(set(images) - case.bad.keys())


def test_a_photo_whose_data_end_early_is_used_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grey, colour = encode(picture(3)[..., 0], "JPEG"), encode(picture(4), "JPEG")
    files = pets() | {"cat/whole.jpg": colour, "cat/stray.jpg": colour[:-2] + b"\0\0\xff\xd9"}
    for name, whole in (("grey", grey), ("colour", colour)):
        start = whole.index(b"\xff\xda")
        files[f"cat/{name}.jpg"] = whole[: (start + len(whole)) // 2] + b"\xff\xd9"
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED | {"near_duplicates": False}))
    assert main(["split", NAME]) == 0
    assert "images that are damaged, but used: 2" in capsys.readouterr().err
    damage = "Corrupt JPEG data: premature end of data segment"
    assert report(tmp_path)["damaged"] == [
        {"id": f"cat/{name}.jpg", "reason": damage} for name in ("grey", "colour")
    ]
    assert {name for ids in members(tmp_path).values() for name in ids} == files.keys()
    page = (output(tmp_path) / "report.html").read_text("utf-8")
    assert f"<b>cat/grey.jpg</b>: {damage}" in page
    assert main(["data", NAME]) == 0
    assert f"cat/grey.jpg: {damage}" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "more"), [(100, False), (101, True)])
def test_a_hundred_bad_samples_are_named(
    count: int,
    more: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = pets() | {f"cat/empty{number}.png": b"" for number in range(count)}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED))
    assert main(["split", NAME]) == 1
    error = capsys.readouterr().err
    assert sum("cat/empty" in line for line in error.splitlines()) == 100
    assert ("  and 1 more" in error.splitlines()) == more


@pytest.mark.parametrize("box", [(-9, 5, 30, 40), (4, 5, 60, 40), (100, 100, 120, 120)])
def test_a_box_that_leaves_the_frame_is_kept_and_listed(
    box: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = voc({"i/3.xml": xml(*box)})
    assert split(tmp_path, case, monkeypatch) == 0
    (found,) = report(tmp_path)["boxes"]["out_of_frame"]
    assert found["id"] == "i/3.png"


def test_names_of_any_alphabet_come_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("ä b", "猫", "кот", "🐈", "e\u0301", "a'b\"c", "a;b,c", "%20")
    files = {
        f"{folder}/{name}.png": photo(100 * row + column)
        for row, folder in enumerate(("Ärger", "狗"))
        for column, name in enumerate(names)
    }
    reader = {"_target_": FOLDERS["_target_"]}
    assert split(tmp_path, Case(files, {}, reader, {}), monkeypatch) == 0
    assert sorted(name for ids in members(tmp_path).values() for name in ids) == sorted(
        unicodedata.normalize("NFC", name) for name in files
    )
    assert report(tmp_path)["classes"] == ["Ärger", "狗"]


def test_a_class_with_one_image_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(PETS, {"rat/1.png": photo(1)}, {"_target_": FOLDERS["_target_"]}, {})
    assert split(tmp_path, case, monkeypatch) == 1
    error = capsys.readouterr().err
    for word in ("'rat/1.png'", "1 class has fewer than 3", "has 1", "Add images"):
        assert word in error
    assert not output(tmp_path).exists()


def test_an_empty_split_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = {**OFFICIAL, "_target_": "viewfinder.data.splits.stable.stable_split"}
    case = Case(PETS, {}, FOLDERS, {}, {**method, "val": 0.0001, "test": 0.2})
    assert split(tmp_path, case, monkeypatch) == 1
    error = capsys.readouterr().err
    assert "The split val has no images" in error
    assert "under `split:`" in error


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("on_error", ["fail", "skip"])
@pytest.mark.parametrize(
    ("name", "words"),
    [("../dog/evil.png", ("leads out",)), ("dog/0.png", ("more than once",))],
    ids=["outside", "twice"],
)
def test_an_archive_that_is_not_sound_stops_the_stage_in_any_case(
    name: str,
    words: tuple[str, ...],
    on_error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_project(tmp_path, PETS, {**STRATIFIED, "on_error": on_error}, **FOLDERS)
    raw = tmp_path / "data" / "raw" / NAME
    with zipfile.ZipFile(raw / "pets.zip", "a") as archive:
        archive.writestr(name, photo(1))
    (raw / "SHA256SUMS").unlink()
    write_checksums(raw)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 1
    error = capsys.readouterr().err
    assert "pets.zip" in error
    assert name in error
    assert all(word in error for word in words), error
    assert not output(tmp_path).exists()


def test_a_target_that_can_not_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Path(tempfile.mkdtemp())
    try:
        make_project(project, PETS, STRATIFIED, **FOLDERS)
        (project / "data" / "splits").mkdir()
        for folder in (project, *project.rglob("*")):
            folder.chmod(0o555 if folder.is_dir() else 0o444)
        monkeypatch.chdir(project)
        with unprivileged():
            assert main(["split", NAME]) == 1
        error = capsys.readouterr().err
        assert str(project / "data" / "splits") in error
        assert "Permission denied" in error
        assert "Make it writable" in error
        assert not list((project / "data" / "splits").iterdir())
    finally:
        for folder in (project, *project.rglob("*")):
            folder.chmod(0o755)
        shutil.rmtree(project)


def test_a_number_of_classes_that_is_not_the_stated_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path, PETS, STRATIFIED, **FOLDERS)
    config = tmp_path / "conf" / "dataset" / f"{NAME}.yaml"
    config.write_text(f"num_classes: 3\n{config.read_text()}")
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 1
    error = capsys.readouterr().err
    for word in ("pets.yaml", "num_classes: 3", "found 2", "cat, dog"):
        assert word in error


def test_only_images_with_one_object_are_kept_if_so_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = xml(4, 5, 30, 40)
    two = one.replace(b"</annotation>", one[one.index(b"<object>") :])
    none = one[: one.index(b"<object>")] + b"</annotation>"
    case = voc({"i/2.xml": two, "i/3.xml": none, "i/4.xml": xml(4, 5, 3, 40)})
    assert split(tmp_path, case, monkeypatch, single_object=True) == 0
    others = {item["id"]: item["reason"] for item in report(tmp_path)["unwanted"]}
    assert list(others) == ["i/2.png", "i/3.png", "i/4.png"]
    assert "2 objects" in others["i/2.png"]
    assert "0 objects" in others["i/4.png"]  # its box has no area
    kept = {name for ids in members(tmp_path).values() for name in ids}
    assert kept == {f"i/{n}.png" for n in range(COUNT)} - others.keys()
    assert "without exactly one object were left out: 3" in capsys.readouterr().err
    assert main(["data", NAME]) == 0
    assert "Left out on purpose: 3" in capsys.readouterr().out


def test_one_object_an_image_can_not_be_asked_of_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, Case(PETS, {}, FOLDERS, {}), monkeypatch, single_object=True) == 1
    assert "split.single_object" in capsys.readouterr().err
