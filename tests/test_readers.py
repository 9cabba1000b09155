"""Every layout of data set: what its reader finds, and what it refuses."""

import csv
import io
import json
import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import SemanticMask
from viewfinder.data.readers.cifar import read_cifar
from viewfinder.data.readers.coco import read_coco
from viewfinder.data.readers.folders import read_class_folders
from viewfinder.data.readers.hugging_face import read_parquet
from viewfinder.data.readers.idx import read_idx
from viewfinder.data.readers.index_masks import read_listed_masks, read_mask_folders
from viewfinder.data.readers.instance_masks import read_instance_folders, read_instance_maps
from viewfinder.data.readers.pets import read_pets
from viewfinder.data.readers.record import MaskFile, Reading, Record
from viewfinder.data.readers.table import read_table
from viewfinder.data.readers.voc import read_voc, read_voc_folders
from viewfinder.data.readers.yolo import read_yolo
from viewfinder.data.schema import SplitInfo
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.scan import scan_images
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError

Members = Mapping[str, bytes | str]
Change = Callable[[dict[str, Any]], None]


def image(pixels: Any, mode: str | None = None, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.asarray(pixels))
    (picture.convert(mode) if mode else picture).save(buffer, kind)
    return buffer.getvalue()


def grey(height: int = 4, width: int = 6, value: int = 0) -> bytes:
    return image(np.full((height, width), value, np.uint8))


def archive_of(folder: Path, members: Members) -> Archive:
    folder.mkdir(parents=True, exist_ok=True)
    contents = [
        (name, content.encode() if isinstance(content, str) else content)
        for name, content in members.items()
    ]
    write_zip(folder / "data.zip", contents)
    write_checksums(folder)
    return Archive(folder)


def read(reader: Callable[..., Reading], folder: Path, members: Members, **options: Any) -> Reading:
    with archive_of(folder, members) as archive:
        return reader(archive, **options)


def refusal(reader: Callable[..., Reading], folder: Path, members: Members, **options: Any) -> str:
    """Return what the split stage says of the data set."""
    with archive_of(folder, members) as archive, pytest.raises(ViewfinderError) as caught:
        scan_images(reader(archive, **options), archive)
    return str(caught.value)


def written(folder: Path, members: Members, reading: Reading, archive: Archive) -> SplitFile:
    path = folder / "train"
    info = SplitInfo("pets", "train", reading.classes, {})
    write_split(path, reading.records, archive, reading.annotations, info)
    return SplitFile(path)


def splits(reading: Reading) -> dict[str, str | None]:
    return {record.id: record.split for record in reading.records}


def labels(reading: Reading) -> dict[str, str]:
    return {record.id: reading.classes[record.label or 0] for record in reading.records}


# --- folder per class


def test_class_folders_below_a_root_may_be_deeper(tmp_path: Path) -> None:
    members = {
        "SMILEs/positives/positives7/1.jpg": "",
        "SMILEs/negatives/negatives7/1.jpg": "",
        "SMILEs/negatives/2.JPEG": "",
        "SMILEs/README": "",
        "__MACOSX/SMILEs/negatives/._2.jpg": "",
        "SMILEs/negatives/._2.jpg": "",
    }
    classes = {"positives": "smiling", "negatives": "not smiling"}
    reading = read(read_class_folders, tmp_path, members, root="SMILEs", classes=classes)
    assert reading.classes == ["smiling", "not smiling"]
    assert labels(reading) == {
        "SMILEs/positives/positives7/1.jpg": "smiling",
        "SMILEs/negatives/negatives7/1.jpg": "not smiling",
        "SMILEs/negatives/2.JPEG": "not smiling",
    }


OFFICIAL = {"a/train/cat/1.png": "", "a/train/dog/1.png": "", "a/test/dog/2.png": ""}


def test_class_folders_of_official_splits_share_their_classes(tmp_path: Path) -> None:
    reading = read(
        read_class_folders, tmp_path, OFFICIAL, splits={"train": "a/train", "test": "a/test"}
    )
    assert reading.classes == ["cat", "dog"]
    assert splits(reading) == {name: name.split("/")[1] for name in OFFICIAL}
    assert labels(reading) == {name: name.split("/")[2] for name in OFFICIAL}


def test_images_can_be_chosen_by_pattern(tmp_path: Path) -> None:
    options = {"images": ["a/train/*", "*/2.png"]}
    reading = read(
        read_class_folders, tmp_path, {**OFFICIAL, "b/3.png": ""}, root="a", classes=None, **options
    )
    assert len(reading.records) == 3


@pytest.mark.parametrize(
    ("members", "options", "words"),
    [
        ({**OFFICIAL, "a/train/3.png": ""}, {"splits": {"train": "a/train", "test": "a/test"}},
         ["a/train/3.png", "without a label"]),
        ({**OFFICIAL, "b/3.png": ""}, {"root": "a"}, ["b/3.png", "without a label"]),
        ({"1.png": "", "cat/1.png": "", "dog/1.png": ""}, {}, ["'1.png'", "without a label"]),
        (OFFICIAL, {}, ["same name", "`root`", "`splits`"]),
        (OFFICIAL, {"splits": {"training": "a/train"}}, ["training", "train, val, test"]),
        ({"cat/1.png": "", "cow/1.png": ""}, {"classes": ["cat", "dog"]}, ["'dog'", "'cow'"]),
        ({"cat/1.png": "", "cow/1.png": "", "dog/1.png": ""}, {"classes": ["cat", "dog"]},
         ["'cow/1.png'", "'cow'", "cat, dog"]),
        ({"x/cat/1.png": "", "y/cat/1.png": ""}, {"classes": ["cat"]}, ["same name", "`root`"]),
        ({"cat/1.png": "", "dog/1.png": ""}, {"classes": ["cat", "dog", "cow"]}, ["'cow'"]),
        ({"cat/1.png": "", "dog/1.png": ""}, {"images": "x/*"}, ["'x/*'", "pattern"]),
        ({"cat/1.png": "", "dog/1.png": "", "dog/2.HEIC": ""}, {},
         ["'dog/2.HEIC'", "format is not read", "Convert"]),
    ],
)  # fmt: skip
def test_class_folders_refuse(
    tmp_path: Path, members: Members, options: dict[str, Any], words: list[str]
) -> None:
    message = refusal(read_class_folders, tmp_path, members, **options)
    assert all(word in message for word in words), message


# --- Pascal VOC


def xml(*objects: tuple[str, Any, Any, Any, Any], size: tuple[Any, Any] = (60, 40)) -> str:
    entries = "".join(
        f"<object><name>{name}</name><difficult>1</difficult><part><name>head</name>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        f"<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, *box in objects
    )
    width, height = size
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        f"{entries}</annotation>"
    )


VOC = {
    "V/JPEGImages/ä 1.jpg": "",
    "V/JPEGImages/b.c.jpg": "",
    "V/Annotations/ä 1.xml": xml(("dog", 1, 1, 60, 40), ("cat", 5, "6.5", 5, 7)),
    "V/Annotations/b.c.xml": xml(),
    "V/train.txt": "ä 1\n",
    "V/test.txt": "\ufeffb.c\r\n\r\n",
}
VOC_OPTIONS = {
    "sets": {"train": "V/train.txt", "test": "V/test.txt"},
    "images": "V/JPEGImages",
    "annotations": "V/Annotations",
}


@pytest.mark.parametrize(
    ("corners", "boxes"),
    [
        ("inclusive", [(0, 0, 60, 40), (4, 5.5, 5, 7)]),
        ("edges", [(1, 1, 60, 40), (5, 6.5, 5, 7)]),
    ],
)
def test_voc_boxes_keep_difficult_and_empty_ones(
    tmp_path: Path, corners: str, boxes: list[tuple[float, ...]]
) -> None:
    reading = read(read_voc, tmp_path, VOC, corners=corners, **VOC_OPTIONS)
    assert reading.classes == ["cat", "dog"]
    first, second = reading.records
    assert first.size == (60, 40)
    assert [item.bbox for item in first.objects or ()] == boxes
    assert [item.category for item in first.objects or ()] == [1, 0]
    assert (first.split, second.split) == ("train", "test")
    assert second.objects == ()


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "aaaaaaaaaa"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>'
    "<annotation><folder>&y;</folder></annotation>"
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"V/Annotations/b.c.xml": None}, ["b.c.jpg", "without a label"]),
        ({"V/JPEGImages/b.c.jpg": None}, ["b.c", "not there"]),
        ({"V/JPEGImages/d.jpg": ""}, ["d.jpg", "in one of the lists", "leave_out"]),
        ({"V/JPEGImages/b.c.png": ""}, ["b.c.png", "extension"]),
        ({"V/Annotations/d.xml": xml()}, ["d.xml", "not there"]),
        ({"V/test.txt": "b.c\nb.c\n"}, ["V/test.txt", "'b.c'", "more than once"]),
        ({"V/test.txt": "b.c\nä 1\n"}, ["V/test.txt", "ä 1", "another split"]),
        ({"V/test.txt": "\n"}, ["V/test.txt", "empty"]),
        ({"V/test.txt": b"\xff\xfe"}, ["V/test.txt", "UTF-8"]),
        ({"V/Annotations/b.c.xml": xml(("dog", 9, 1, 5, 4))}, ["b.c.xml", "object 0", "reversed"]),
        ({"V/Annotations/b.c.xml": xml(("dog", 1, 9, 5, 4))}, ["b.c.xml", "reversed"]),
        ({"V/Annotations/b.c.xml": xml(("dog", "x", 1, 5, 4))}, ["b.c.xml", "'x'", "numbers"]),
        ({"V/Annotations/b.c.xml": xml(("dog", 1, 1, 5, "nan"))}, ["b.c.xml", "numbers"]),
        ({"V/Annotations/b.c.xml": xml(("dog", 1, 1, 5, ""))}, ["b.c.xml", "lacks <bndbox/ymax>"]),
        ({"V/Annotations/b.c.xml": xml(("", 1, 1, 5, 6))}, ["b.c.xml", "lacks <name>"]),
        ({"V/Annotations/b.c.xml": xml(size=("wide", 3))}, ["b.c.xml", "wide"]),
        ({"V/Annotations/b.c.xml": "<annotation>"}, ["b.c.xml", "XML"]),
        ({"V/Annotations/b.c.xml": BOMB}, ["b.c.xml", "entities"]),
        ({"V/Annotations/b.c.xml": BOMB.encode("utf-16")}, ["b.c.xml", "entities"]),
    ],
)  # fmt: skip
def test_voc_refuses(
    tmp_path: Path, changes: dict[str, str | bytes | None], words: list[str]
) -> None:
    members = {name: content for name, content in {**VOC, **changes}.items() if content is not None}
    message = refusal(read_voc, tmp_path, members, **VOC_OPTIONS)
    assert all(word in message for word in ["data.zip", *words]), message


def test_voc_refuses_unknown_classes_and_options(tmp_path: Path) -> None:
    message = refusal(read_voc, tmp_path / "a", VOC, classes=["dog", "cow"], **VOC_OPTIONS)
    assert "ä 1.xml': object 1 has the class 'cat'" in message
    assert "dog, cow" in message
    assert "'centre'" in refusal(read_voc, tmp_path / "b", VOC, corners="centre", **VOC_OPTIONS)
    options = {**VOC_OPTIONS, "images": "V/Images"}
    assert "'V/Images'" in refusal(read_voc, tmp_path / "c", VOC, **options)


def test_voc_leaves_out_what_no_list_names_if_told_to(tmp_path: Path) -> None:
    members = {**VOC, "V/JPEGImages/d.jpg": "", "V/Annotations/e.xml": ""}
    reading = read(read_voc, tmp_path, members, unlisted="leave_out", **VOC_OPTIONS)
    assert list(splits(reading)) == ["V/JPEGImages/ä 1.jpg", "V/JPEGImages/b.c.jpg"]


CARDS = {
    "i/train/1.JPG": "",
    "i/train/1.xml": xml(("ace", -3, 1, 70, 4)),
    "i/test/1.jpg": "",
    "i/test/1.XML": xml(size=(0, 0)),
    "i/test_labels.csv": "",
}


def test_xml_beside_its_image_in_either_case(tmp_path: Path) -> None:
    options = {"splits": {"train": "i/train", "test": "i/test"}, "corners": "edges"}
    reading = read(read_voc_folders, tmp_path, CARDS, **options)
    assert splits(reading) == {"i/train/1.JPG": "train", "i/test/1.jpg": "test"}
    train, test = reading.records
    assert [item.bbox for item in train.objects or ()] == [(-3, 1, 70, 4)]  # out of frame: kept
    assert test.size is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"i/train/2.jpg": ""}, "i/train/2.jpg"),
        ({"i/train/2.xml": xml()}, "i/train/2"),
        ({"i/val/2.jpg": "", "i/val/2.xml": xml()}, "i/val/2.jpg"),
        ({"i/train/1.png": ""}, "i/train/1.png"),
    ],
)
def test_xml_and_images_that_do_not_pair_are_refused(
    tmp_path: Path, changes: Members, word: str
) -> None:
    options = {"splits": {"train": "i/train", "test": "i/test"}}
    assert word in refusal(read_voc_folders, tmp_path, {**CARDS, **changes}, **options)


# --- index masks


def camvid(mask: Any = None) -> dict[str, bytes | str]:
    rows = [[0, 1, 2], [11, 11, 0]] if mask is None else mask
    members: dict[str, bytes | str] = {}
    for split in ("train", "test"):
        members[f"top/C/{split}/1.png"] = image(np.zeros((2, 3, 3), np.uint8))
        members[f"top/C/{split}annot/1.png"] = image(np.array(rows, np.uint8))
        pair = f"/SegNet/C/{split}/1.png /SegNet/C/{split}annot/1.png\n"
        members[f"top/C/{split}.txt"] = pair
    return members


CAMVID = {
    "classes": ["sky", "road", "car"],
    "lists": {"train": "top/C/train.txt", "test": "top/C/test.txt"},
    "strip": "/SegNet/",
    "prefix": "top/",
}


def test_listed_masks_reach_the_model_as_they_are(tmp_path: Path) -> None:
    members = camvid()
    with archive_of(tmp_path, members) as archive:
        reading = read_listed_masks(archive, values={11: 255}, **CAMVID)
        split = written(tmp_path, members, reading, archive)
    assert splits(reading) == {"top/C/train/1.png": "train", "top/C/test/1.png": "test"}
    view = SemanticMask()
    assert view.lacks(split) is None
    assert view.classes(split) == ["sky", "road", "car"]  # the masks have their own background
    mask = view.sample(split.row(0, view.columns)).mask
    assert mask is not None
    assert mask.tolist() == [[0, 1, 2], [255, 255, 0]]


@pytest.mark.parametrize(
    ("mask", "values", "words"),
    [
        ([[0, 1, 2], [11, 11, 0]], None, ["[11]", "0 to 2", "255"]),
        ([[0, 1, 2], [7, 9, 0]], {11: 255}, ["[7, 9]"]),
        ([[0, 1], [1, 0], [1, 1]], None, ["2 x 3", "3 x 2"]),
        (np.zeros((2, 3, 3)), None, ["colours", "RGB"]),
    ],
)
def test_a_mask_that_means_nothing_is_refused(
    tmp_path: Path, mask: Any, values: dict[int, int] | None, words: list[str]
) -> None:
    message = refusal(read_listed_masks, tmp_path, camvid(mask), values=values, **CAMVID)
    assert all(word in message for word in ["top/C/trainannot/1.png", *words]), message


@pytest.mark.parametrize("content", [b"", b"text", grey()[:40]])
def test_a_mask_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    members = {**camvid(), "top/C/testannot/1.png": content}
    message = refusal(read_listed_masks, tmp_path, members, values={11: 255}, **CAMVID)
    assert "its mask 'top/C/testannot/1.png' is not a readable image" in message


@pytest.mark.parametrize("mode", ["P", "1", "I;16"])
def test_a_masks_own_indices_count_whatever_their_colours(tmp_path: Path, mode: str) -> None:
    indices = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    picture = Image.fromarray(indices.astype(np.uint16) if mode == "I;16" else indices)
    if mode == "P":
        picture.putpalette([9, 9, 9, 200, 0, 0])
    if mode == "1":
        picture = Image.fromarray(indices.astype(bool))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    members = {"i/1.jpg": image(np.zeros((2, 3, 3), np.uint8)), "m/1.png": buffer.getvalue()}
    with archive_of(tmp_path, members) as archive:
        reading = read_mask_folders(archive, classes=["a", "b"], images="i", masks="m")
        split = written(tmp_path, members, reading, archive)
    mask = SemanticMask().sample(split.row(0, SemanticMask.columns)).mask
    assert mask is not None
    assert mask.tolist() == indices.tolist()


def test_masks_by_a_name_in_a_list(tmp_path: Path) -> None:
    members = {"J/1.jpg": "", "J/2.jpg": "", "S/1.png": "", "train.txt": "1\n"}
    options = {"images": "J/{name}.jpg", "masks": "S/{name}.png", "lists": {"train": "train.txt"}}
    reading = read(read_listed_masks, tmp_path, members, classes=["a", "b"], **options)
    assert reading.records == [Record("J/1.jpg", mask=MaskFile("S/1.png"), split="train")]


@pytest.mark.parametrize(
    ("members", "options", "words"),
    [
        ({"l.txt": "a.png"}, {}, ["'a.png'", "its mask"]),
        ({"l.txt": "a.png b.png", "a.png": ""}, {}, ["'b.png'", "l.txt"]),
        ({"l.txt": "a.png b.png"}, {"images": "x/{name}"}, ["both"]),
        ({"l.txt": "a.png b.png"}, {"values": {3: 9}}, ["{3: 9}", "0 to 1"]),
        ({"l.txt": "a.png b.png"}, {"classes": ["a", "a"]}, ["not unique"]),
    ],
)
def test_listed_masks_refuse(
    tmp_path: Path, members: Members, options: dict[str, Any], words: list[str]
) -> None:
    given = {"classes": ["a", "b"], "lists": {"train": "l.txt"}, **options}
    message = refusal(read_listed_masks, tmp_path, members, **given)
    assert all(word in message for word in words), message


def test_mask_folders_pair_by_name_and_suffix(tmp_path: Path) -> None:
    members = {"i/t/1.jpg": "", "i/v/1.jpg": "", "m/t/1_L.png": "", "m/v/1_L.png": ""}
    options = {
        "images": {"train": "i/t", "val": "i/v"},
        "masks": {"train": "m/t", "val": "m/v"},
        "suffix": "_L",
        "classes": ["a", "b"],
    }
    reading = read(read_mask_folders, tmp_path / "a", members, **options)
    pairs = [(item.id, item.mask.path if item.mask else "") for item in reading.records]
    assert pairs == [("i/t/1.jpg", "m/t/1_L.png"), ("i/v/1.jpg", "m/v/1_L.png")]
    missing = {**members, "i/v/2.jpg": ""}
    assert "i/v/2.jpg" in refusal(read_mask_folders, tmp_path / "b", missing, **options)
    orphan = {**members, "m/v/2_L.png": ""}
    assert "m/v/2_L.png" in refusal(read_mask_folders, tmp_path / "c", orphan, **options)


# --- instance masks


def instance(*rectangles: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    mask = np.zeros((20, 30), np.uint8)
    for left, top, right, bottom in rectangles:
        mask[top:bottom, left:right] = value
    return mask


def nuclei() -> dict[str, bytes | str]:
    return {
        "s/x/images/x.png": image(np.zeros((20, 30, 4), np.uint8)),
        "s/x/masks/1.png": image(instance((2, 3, 8, 9))),
        "s/x/masks/2.png": image(instance((0, 0, 30, 1), value=1)),
        "s/x/masks/3.png": image(instance()),
        "s/y/images/y.png": image(np.zeros((20, 30, 4), np.uint8)),
        "s/y/masks/1.png": image(instance((5, 5, 6, 6)), mode="RGBA"),
    }


def test_instance_masks_give_boxes_and_run_lengths(tmp_path: Path) -> None:
    members = nuclei()
    with archive_of(tmp_path, members) as archive:
        reading = read_instance_folders(archive, class_name="nucleus")
        split = written(tmp_path, members, reading, archive)
    first, second = reading.records
    assert [item.bbox for item in first.objects or ()] == [
        (2, 3, 8, 9),
        (0, 0, 30, 1),
        (0, 0, 0, 0),  # without an object: for the report
    ]
    assert [item.bbox for item in second.objects or ()] == [(5, 5, 6, 6)]
    rle = {"size": [20, 30], "counts": (first.objects or ())[0].rle}
    np.testing.assert_array_equal(coco_mask.decode(rle) * 255, instance((2, 3, 8, 9)))
    sample = SemanticMask().sample(split.row(0, SemanticMask.columns))
    assert SemanticMask().classes(split) == ["background", "nucleus"]
    assert sample.mask is not None
    np.testing.assert_array_equal(sample.mask, instance((2, 3, 8, 9), (0, 0, 30, 1), value=1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"s/z/images/z.png": grey()}, ["s/z/images/z.png", "without a label"]),
        ({"s/z/masks/1.png": grey()}, ["s/z", "not there"]),
        ({"s/x/images/x2.png": grey()}, ["s/x/images", "several"]),
        ({"s/x/masks/4.png": grey(5, 5)}, ["s/x/images/x.png", "5 x 5", "30 x 20"]),
        ({"s/x/masks/4.png": b"text"}, ["s/x/masks/4.png", "not a readable image"]),
        ({"s/preview.png": grey()}, ["s/preview.png"]),
    ],
)
def test_instance_folders_refuse(tmp_path: Path, changes: Members, words: list[str]) -> None:
    message = refusal(
        read_instance_folders, tmp_path, {**nuclei(), **changes}, class_name="nucleus"
    )
    assert all(word in message for word in words), message


def test_an_image_of_another_size_than_its_instance_masks_is_refused(tmp_path: Path) -> None:
    members = {**nuclei(), "s/y/images/y.png": grey(5, 7)}
    with archive_of(tmp_path, members) as archive:
        reading = read_instance_folders(archive, class_name="nucleus")
        with pytest.raises(ViewfinderError, match=r"y\.png.*7 x 5.*30 x 20"):
            written(tmp_path, members, reading, archive)


def test_a_map_of_instances_numbers_them(tmp_path: Path) -> None:
    numbers = instance((0, 0, 3, 3), value=1) + instance((10, 5, 20, 15), value=7)
    members = {"P/1.png": grey(20, 30), "M/1_mask.png": image(numbers), "P/2.png": grey(20, 30)}
    options = {"class_name": "person", "images": "P", "masks": "M", "suffix": "_mask"}
    assert "P/2.png" in refusal(read_instance_maps, tmp_path / "a", members, **options)
    members["M/2_mask.png"] = grey(20, 30)
    reading = read(read_instance_maps, tmp_path / "b", members, **options)
    first, empty = reading.records
    assert [item.bbox for item in first.objects or ()] == [(0, 0, 3, 3), (10, 5, 20, 15)]
    assert empty.objects == ()
    orphan = {**members, "M/3_mask.png": grey(20, 30)}
    assert "M/3_mask.png" in refusal(read_instance_maps, tmp_path / "c", orphan, **options)


# --- tables


def csv_of(*rows: Mapping[str, object]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def parquet_of(rows: list[dict[str, Any]], metadata: Any = None) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, buffer, row_group_size=2)
    return buffer.getvalue()


ROWS: list[dict[str, Any]] = [
    {"file": "a/1", "kind": "dog", "part": "train", "who": "ann"},
    {"file": "a/2", "kind": "cat", "part": "valid", "who": ""},
    {"file": "3", "kind": "dog", "part": "test", "who": "bob"},
]
PICTURES = {"i/a/1.jpg": "", "i/a/2.jpg": "", "i/3.jpg": ""}
TABLE = {"image": "file", "label": "kind", "root": "i", "suffix": ".jpg"}


@pytest.mark.parametrize("path", ["list.csv", "list.parquet"])
def test_a_table_gives_labels_splits_and_groups(tmp_path: Path, path: str) -> None:
    content = csv_of(*ROWS) if path.endswith("csv") else parquet_of(ROWS)
    reading = read(
        read_table, tmp_path, {path: content, **PICTURES}, tables=path, split="part", group="who",
        **TABLE,
    )  # fmt: skip
    assert reading.annotations == ["label"]
    assert labels(reading) == {"i/a/1.jpg": "dog", "i/a/2.jpg": "cat", "i/3.jpg": "dog"}
    assert list(splits(reading).values()) == ["train", "val", "test"]
    assert [record.group for record in reading.records] == ["ann", None, "bob"]


def test_a_table_of_several_labels(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "kind": "dog|cat"}, {**ROWS[1], "kind": ""}, {**ROWS[2], "kind": "cow"}]
    members = {"l.csv": csv_of(*rows), **PICTURES}
    reading = read(read_table, tmp_path / "a", members, tables="l.csv", separator="|", **TABLE)
    assert reading.classes == ["cat", "cow", "dog"]
    assert reading.annotations == ["labels"]
    assert [record.labels for record in reading.records] == [(0, 2), (), (1,)]
    with archive_of(tmp_path / "b", {**members, **dict.fromkeys(PICTURES, grey())}) as archive:
        split = written(tmp_path / "b", members, reading, archive)
    assert [split.row(i, ["labels"])["labels"] for i in range(3)] == [[0, 2], [], [1]]


def test_a_table_a_split(tmp_path: Path) -> None:
    members = {"t.csv": csv_of(*ROWS[:2]), "v.csv": csv_of(ROWS[2]), **PICTURES}
    reading = read(
        read_table, tmp_path, members, tables={"train": "t.csv", "val": "v.csv"}, **TABLE
    )
    assert list(splits(reading).values()) == ["train", "train", "val"]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([*ROWS, {**ROWS[0]}], {}, ["i/a/1.jpg", "2 times"]),
        ([*ROWS, {**ROWS[0], "file": "9"}], {}, ["i/9.jpg", "not there"]),
        (ROWS[:2], {}, ["i/3.jpg", "without a label", "leave_out"]),
        ([{**ROWS[0], "kind": " "}, *ROWS[1:]], {}, ["i/a/1.jpg", "without a label"]),
        ([{**ROWS[0], "file": ""}, *ROWS[1:]], {}, ["row 1", "no image"]),
        ([{**ROWS[0], "part": "pre"}, *ROWS[1:]], {"split": "part"}, ["row 1", "'pre'"]),
        (ROWS, {"label": "class"}, ["'class'", "file, kind, part, who"]),
        (ROWS, {"classes": ["dog", "cow"]}, ["'cat'", "dog, cow"]),
        (ROWS, {"delimiter": ";"}, ["'file'", "file,kind,part,who"]),
    ],
)  # fmt: skip
def test_a_table_refuses(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], words: list[str]
) -> None:
    members = {"l.csv": csv_of(*rows), **PICTURES}
    message = refusal(read_table, tmp_path, members, **{"tables": "l.csv", **TABLE, **options})
    assert all(word in message for word in words), message


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    members = {"l.csv": "file,kind\na/1,dog,extra\n", "l.parquet": "text", **PICTURES}
    assert "row 1" in refusal(read_table, tmp_path / "a", members, tables="l.csv", **TABLE)
    message = refusal(read_table, tmp_path / "b", members, tables="l.parquet", **TABLE)
    assert "not a parquet file" in message


# --- MNIST idx and CIFAR pickles


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


DIGITS = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
MNIST: dict[str, bytes | str] = {
    "train-i": idx(DIGITS),
    "train-l": idx(np.array([2, 0, 1], np.uint8)),
}
IDX = {"images": {"train": "train-i"}, "labels": {"train": "train-l"}, "classes": ["a", "b", "c"]}


def test_idx_images_come_out_as_they_went_in(tmp_path: Path) -> None:
    with archive_of(tmp_path, MNIST) as archive:
        reading = read_idx(archive, **IDX)
        split = written(tmp_path, MNIST, reading, archive)
    assert [record.label for record in reading.records] == [2, 0, 1]
    for index in range(3):
        row = split.row(index, ["id", "image", "width", "height"])
        assert (row["width"], row["height"]) == (5, 4)
        decoded = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        np.testing.assert_array_equal(decoded, DIGITS[index])
    assert len({record.id for record in reading.records}) == 3


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"train-i": idx(DIGITS)[:-1]}, {}, ["train-i", "59 values", "3 x 4 x 5"]),
        ({"train-i": b""}, {}, ["train-i", "not an idx file"]),
        ({"train-i": idx(DIGITS[0])}, {}, ["train-i", "3 or 4 dimensions"]),
        ({"train-l": idx(np.zeros(2, np.uint8))}, {}, ["3 images", "2 labels"]),
        ({"train-l": idx(np.array([0, 9, 1], np.uint8))}, {}, ["label 9", "position 1"]),
        ({}, {"labels": {"test": "train-l"}}, ["same splits"]),
    ],
)
def test_idx_refuses(
    tmp_path: Path, changes: Members, options: dict[str, Any], words: list[str]
) -> None:
    message = refusal(read_idx, tmp_path, {**MNIST, **changes}, **{**IDX, **options})
    assert all(word in message for word in words), message


PLANES = np.random.default_rng(1).integers(0, 256, (2, 3072), np.uint8)


def cifar(**changes: Any) -> dict[str, bytes | str]:
    batch = {"data": PLANES, "labels": [1, 0], "filenames": ["x.png", "y.png"], **changes}
    return {
        "c/b1": pickle.dumps(batch, protocol=2),
        "c/meta": pickle.dumps({"label_names": ["ship", "frog"]}, protocol=2),
    }


CIFAR = {"batches": {"test": ["c/b1"]}, "meta": "c/meta"}


def test_cifar_planes_become_rgb(tmp_path: Path) -> None:
    members = cifar()
    with archive_of(tmp_path, members) as archive:
        reading = read_cifar(archive, **CIFAR)
        split = written(tmp_path, members, reading, archive)
    assert reading.classes == ["ship", "frog"]
    assert [(record.label, record.split) for record in reading.records] == [
        (1, "test"),
        (0, "test"),
    ]
    content = split.row(1, ["image"])["image"]["bytes"]
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(pixels[0, :, 0], PLANES[1, :32])
    np.testing.assert_array_equal(pixels[31, 31], PLANES[1, [1023, 2047, 3071]])


def test_cifars_python_2_pickles_open(tmp_path: Path) -> None:
    # What Python 2's cPickle wrote: byte strings for text and for the array's content.
    row = bytes(range(256)) * 12
    state = (
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    content = array + state + len(row).to_bytes(4, "little") + row + b"tb"
    batch = b"\x80\x02}(U\x04data" + content + b"U\x06labels]K\x01au."
    with archive_of(tmp_path, {**cifar(), "c/b1": batch}) as archive:
        (record,) = read_cifar(archive, **CIFAR).records
        pixels = np.asarray(Image.open(io.BytesIO(record.read(archive))))
    assert pixels[0, :3].tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


# numpy.ndarray((1,), "O", b"AAAAAAAA"): reading its one element would follow any address.
ARRAY_OF_ADDRESSES = b"\x80\x03cnumpy\nndarray\n(K\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAAtR."


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (cifar(labels=_Attack()), ["c/b1", "__builtin__.print", "safely"]),
        (cifar(labels=[1]), ["c/b1", "(2, 3072)", "1 labels"]),
        (cifar(labels=[1, 2]), ["c/b1", "label 2", "0 to 1"]),
        (cifar(data=PLANES[:, :9]), ["c/b1", "(2, 9)"]),
        (cifar(data="none"), ["c/b1", "no array"]),
        (cifar(data=PLANES.astype(np.float32)), ["c/b1", "'f4'", "safely"]),
        ({**cifar(), "c/b1": ARRAY_OF_ADDRESSES}, ["c/b1", "safely"]),
        ({**cifar(), "c/b1": b"text"}, ["c/b1", "safely"]),
        ({**cifar(), "c/b1": pickle.dumps([1])}, ["c/b1", "no dictionary"]),
        ({**cifar(), "c/meta": pickle.dumps({"names": []})}, ["c/meta", "label_names", "'names'"]),
    ],
)
def test_cifar_refuses(
    tmp_path: Path, members: Members, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(read_cifar, tmp_path, members, **CIFAR)
    assert all(word in message for word in words), message
    assert capsys.readouterr().out == ""


# --- Numbered class folders


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (("1_one", "2_two", "10_ten"), ["10_ten", "1_one", "2_two"]),
        (("2_wheeler", "4_wheeler"), ["2_wheeler", "4_wheeler"]),
        (("2_wheeler", "4_wheels"), ["2_wheeler", "4_wheels"]),
        (("0_zero", "1_one"), ["zero", "one"]),
        (tuple(f"{n}_{'abcdefghijk'[-n]}" for n in range(1, 12)), list("kjihgfedcba")),
    ],
)
def test_only_numbers_that_count_the_classes_are_left_out(
    tmp_path: Path, folders: tuple[str, ...], classes: list[str]
) -> None:
    members = {f"{folder}/1.png": grey() for folder in folders}
    assert read(read_class_folders, tmp_path, members).classes == classes


def test_instance_maps_ignore_what_lies_in_other_folders(tmp_path: Path) -> None:
    members = {"i/1.png": grey(), "m/1.png": grey(), "raw/1.jpg": b"", "raw/1.png": b""}
    options = {"class_name": "cell", "images": "i", "masks": "m"}
    assert not read(read_instance_maps, tmp_path, members, **options).left_out


# --- COCO


def coco(change: Change) -> dict[str, bytes | str]:
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 20]}],
    }
    change(document)
    return {"a.json": json.dumps(document), "t/a.png": ""}


def segmentation(value: object) -> Change:
    return lambda document: document["annotations"][0].update(segmentation=value)


COCO = {"annotations": {"train": "a.json"}, "images": {"train": "t"}}


def test_coco_keeps_empty_boxes_and_those_out_of_frame(tmp_path: Path) -> None:
    (record,) = read(read_coco, tmp_path, coco(lambda document: None), **COCO).records
    assert [item.bbox for item in record.objects or ()] == [(1, 1, 1, 21)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["annotations"][0].update(bbox=[5, 5, -2, 3]), ["annotation 5", "reversed"]),
        (lambda d: d["annotations"][0].update(bbox=[5, 5, "2", 3]), ["annotation 5", "numbers"]),
        (lambda d: d["annotations"][0].update(bbox=[5, 5, 3]), ["annotation 5", "four numbers"]),
        (lambda d: d["images"].append({**d["images"][0], "id": 2}), ["t/a.png", "2 times"]),
        (lambda d: d.update(images=[], annotations=[]), ["t/a.png", "without a label"]),
        (lambda d: d["images"].append({**d["images"][0], "file_name": "b.png"}), ["the id 1"]),
        (lambda d: d["categories"].append({"id": 1, "name": "dog"}), ["[1, 1]"]),
        (lambda d: d["categories"].append({"id": 2, "name": "cat"}), ["not unique"]),
        (lambda d: d["categories"][0].update(id="1"), ["'categories'", "'1'", "whole number"]),
        (lambda d: d["images"][0].update(width="9"), ["t/a.png", "['9', 9]", "whole pixels"]),
        (lambda d: d["images"][0].update(height=9.5), ["t/a.png", "[9, 9.5]", "whole pixels"]),
        (lambda d: d["images"][0].update(file_name=None), ["'images'", "file_name None", "a text"]),
        (lambda d: d["annotations"][0].update(bbox=None), ["annotation 5", "None", "four numbers"]),
        (lambda d: d["annotations"][0].update(category_id="1"), ["annotation 5", "'1'", "[1]"]),
        (lambda d: d["annotations"][0].update(category_id=[1]), ["annotation 5", "[1]"]),
        (lambda d: d.update(images=None), ["'images'", "no list"]),
        (lambda d: d["annotations"][0].update(image_id=[1]), ["annotation 5", "image_id [1]"]),
        (segmentation([[1, 1, 9, 9]]), ["annotation 5", "polygon", "three points"]),
        (segmentation([[1, 1, 9, 9, 3, 3, 2]]), ["annotation 5", "polygon"]),
        (segmentation([list("abcdef")]), ["annotation 5", "polygon"]),
        (segmentation("x"), ["annotation 5", "no mask of 9 x 9"]),
        (segmentation({"size": [9, 9]}), ["annotation 5", "no mask of 9 x 9"]),
        (segmentation({"size": [3, 3], "counts": [4, 5]}), ["no mask of 9 x 9"]),
        (segmentation({"size": [9, 9], "counts": [4, 5]}), ["add up"]),
        (segmentation({"size": [9, 9], "counts": "45"}), ["add up"]),
    ],
)
def test_coco_refuses(tmp_path: Path, change: Change, words: list[str]) -> None:
    message = refusal(read_coco, tmp_path, coco(change), **COCO)
    assert all(word in message for word in ["a.json", *words]), message


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["annotations"][0].update(bbox=None),
        lambda d: d["annotations"][0].update(category_id="1"),
        lambda d: d["images"][0].update(width="9"),
    ],
)
def test_one_bad_entry_of_coco_leaves_the_others(tmp_path: Path, change: Change) -> None:
    def two(document: dict[str, Any]) -> None:
        document["images"].append({**document["images"][0], "id": 2, "file_name": "b.png"})
        document["annotations"].append({**document["annotations"][0], "id": 6, "image_id": 2})
        change(document)

    reading = read(read_coco, tmp_path, coco(two), **COCO)
    assert [record.id for record in reading.records] == ["t/b.png"]
    assert [item.id for item in reading.left_out] == ["t/a.png"]


def test_coco_names_and_sizes_may_be_written_otherwise(tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["images"][0].update(file_name="./cafe\u0301.png", width=9.0)

    members = {"a.json": coco(change)["a.json"], "t/caf\u00e9.png": ""}
    (record,) = read(read_coco, tmp_path, members, **COCO).records
    assert (record.id, record.size) == ("t/caf\u00e9.png", (9, 9))


def test_coco_run_lengths_of_every_form_are_one_mask(tmp_path: Path) -> None:
    mask = np.zeros((9, 9), np.uint8, order="F")
    mask[2:5, 3:8] = 1
    mask[7, 1] = 1
    compressed = coco_mask.encode(mask)["counts"]
    ordered = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(ordered, prepend=0))
    plain = np.diff(np.concatenate([[0], changes, [ordered.size]])).tolist()
    for number, counts in enumerate((compressed.decode(), plain)):
        change = segmentation({"size": [9, 9], "counts": counts})
        (record,) = read(read_coco, tmp_path / str(number), coco(change), **COCO).records
        assert [item.rle for item in record.objects or ()] == [compressed]


def test_coco_splits_may_share_a_folder(tmp_path: Path) -> None:
    members = {"t/b.png": grey(9, 9), "t/c.png": grey(9, 9), **coco(lambda document: None)}
    other = json.loads(members["a.json"])
    other["images"][0]["file_name"] = "b.png"
    members["b.json"] = json.dumps(other)
    options = {
        "annotations": {"train": "a.json", "val": "b.json"},
        "images": {"train": "t", "val": "t"},
    }
    reading = read(read_coco, tmp_path / "a", members, unlisted="leave_out", **options)
    assert splits(reading) == {"t/a.png": "train", "t/b.png": "val"}
    message = refusal(read_coco, tmp_path / "b", {**members, "t/a.png": grey(9, 9)}, **options)
    assert "t/c.png" in message
    assert "t/b.png" not in message


# --- YOLO


def yolo() -> dict[str, bytes | str]:
    """As Roboflow exports: data.yaml at the top, with paths that lead out of it."""
    turned = Image.new("RGB", (20, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", exif=exif)
    return {
        "data.yaml": "train: ../train/images\nval: val/images\nnames: [cat, dog]\n",
        "train/images/1.jpg": buffer.getvalue(),
        "train/labels/1.txt": "1 0.5 0.5 0.5 1\n\n0 0 0 0.5 0 0.5 0.5 0 0.5\n",
        "val/images/2.png": grey(20, 40),
        "val/labels/2.txt": "",
    }


def test_yolo_boxes_and_polygons_of_an_image_that_is_turned(tmp_path: Path) -> None:
    reading = read(read_yolo, tmp_path, yolo())
    assert reading.classes == ["cat", "dog"]
    assert splits(reading) == {"train/images/1.jpg": "train", "val/images/2.png": "val"}
    turned, empty = reading.records
    assert turned.size == (40, 20)
    assert empty.objects == ()
    box, polygon = turned.objects or ()
    assert (box.bbox, box.category, box.rle) == ((10, 0, 30, 20), 1, None)
    assert (polygon.bbox, polygon.category) == ((0, 0, 20, 10), 0)
    mask = coco_mask.decode({"size": [20, 40], "counts": polygon.rle})
    assert mask[:10, :20].all()
    assert mask.sum() == 200


def test_yolo_lists_and_numbered_names(tmp_path: Path) -> None:
    members = yolo() | {
        "data.yaml": "path: .\ntrain: [l.txt]\nnames: {0: cat, '1': dog}\n",
        "l.txt": "./train/images/1.jpg\n",
    }
    assert splits(read(read_yolo, tmp_path, members)) == {"train/images/1.jpg": "train"}


@pytest.mark.parametrize("line", ["./train/images/1.jpg", "train/images/1.jpg"])
def test_yolo_lists_may_start_at_their_own_folder(tmp_path: Path, line: str) -> None:
    members = {f"mine/{name}": content for name, content in yolo().items()}
    members |= {"mine/data.yaml": "train: l.txt\nnames: [cat, dog]\n", "mine/l.txt": line}
    members |= {"train/images/2.jpg": grey(), "train/labels/2.txt": ""}
    options = {"data": "mine/data.yaml", "unlisted": "leave_out"}
    reading = read(read_yolo, tmp_path, members, **options)
    assert splits(reading) == {"mine/train/images/1.jpg": "train"}


def test_yolo_knows_the_class_names_that_labelimg_puts_beside_the_labels(tmp_path: Path) -> None:
    members = {**yolo(), "train/labels/classes.txt": "cat\ndog\n"}
    assert not read(read_yolo, tmp_path, members).left_out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train/labels/1.txt": None}, ["train/images/1.jpg", "background"]),
        ({"train/labels/9.txt": ""}, ["train/labels/9.txt", "not there"]),
        ({"train/images/1.png": grey()}, ["train/images/1.png", "extension"]),
        ({"train/labels/1.txt": "2 0 0 1 1"}, ["object 0", "'2'", "0 to 1"]),
        ({"train/labels/1.txt": "1 0 0 1"}, ["object 0", "1 0 0 1"]),
        ({"train/labels/1.txt": "1 0 0 1 x"}, ["object 0", "1 0 0 1 x"]),
        ({"train/labels/1.txt": "1 0 0 1 inf"}, ["object 0", "inf"]),
        ({"train/labels/1.txt": "1 0.5 0.5 -0.1 1"}, ["object 0", "reversed"]),
        ({"train/images/1.jpg": b""}, ["train/images/1.jpg", "not a readable image"]),
        ({"test/images/3.png": grey()}, ["test/images/3.png", "without a label", "unlisted"]),
        ({"data.yaml": "names: [a]"}, ["data.yaml", "train, val or test"]),
        ({"data.yaml": "train: train/images"}, ["data.yaml", "`names`"]),
        ({"data.yaml": "names: {1: a}\ntrain: x"}, ["data.yaml", "0 to 0"]),
        ({"data.yaml": "names: {0: a, b: c}\ntrain: x"}, ["data.yaml", "0, 'b'", "0 to 1"]),
        ({"data.yaml": "names: [a]\ntrain: x"}, ["'x'", "no images"]),
        ({"data.yaml": "names: [a]\ntrain: train\nval: train"}, ["val", "shares"]),
        ({"data.yaml": "a: [b"}, ["data.yaml", "YAML"]),
    ],
)
def test_yolo_refuses(
    tmp_path: Path, changes: dict[str, bytes | str | None], words: list[str]
) -> None:
    members = {name: text for name, text in (yolo() | changes).items() if text is not None}
    message = refusal(read_yolo, tmp_path, members)
    assert all(word in message for word in ["data.zip", *words]), message


def test_yolo_images_that_no_split_names_can_be_left_out(tmp_path: Path) -> None:
    members = {**yolo(), "test/images/3.png": grey(), "test/labels/3.txt": "0 0.5 0.5 1 1"}
    reading = read(read_yolo, tmp_path, members, unlisted="leave_out")
    assert list(splits(reading)) == ["train/images/1.jpg", "val/images/2.png"]


def test_yolo_paths_may_start_where_ultralytics_unpacks(tmp_path: Path) -> None:
    text = "path: ../datasets/coco8\ntrain: images/train\nval: images/val\nnames: [a]\n"
    members = {"data.yaml": text}
    for number, split in enumerate(("train", "val")):
        members[f"images/{split}/{number}.png"] = grey()
        members[f"labels/{split}/{number}.txt"] = ""
    reading = read(read_yolo, tmp_path, members)
    assert splits(reading) == {"images/train/0.png": "train", "images/val/1.png": "val"}


def test_yolo_images_without_a_file_can_be_background(tmp_path: Path) -> None:
    members = {name: text for name, text in yolo().items() if name != "train/labels/1.txt"}
    reading = read(read_yolo, tmp_path, members, unlabelled="background")
    assert [record.objects for record in reading.records] == [(), ()]


# --- Oxford-IIIT Pet


def pets(**changes: str) -> dict[str, bytes | str]:
    trimap = np.array([[1, 2, 3], [2, 2, 2]], np.uint8)
    members: dict[str, bytes | str] = {
        "annotations/trainval.txt": "# Image CLASS-ID SPECIES BREED ID\nBig_Cat_1 1 1 1\n",
        "annotations/test.txt": "beagle_7 2 2 1\n",
        "annotations/xmls/Big_Cat_1.xml": xml(("cat", 1, 1, 3, 2), size=(3, 2)),
        "images/stray_1.jpg": "",
        "images/Big_Cat_1.mat": "",
    }
    for name in ("Big_Cat_1", "beagle_7"):
        members[f"images/{name}.jpg"] = image(np.zeros((2, 3, 3), np.uint8))
        members[f"annotations/trimaps/{name}.png"] = image(trimap)
    return members | changes


def test_pets_serve_four_tasks(tmp_path: Path) -> None:
    breeds, species, heads = (
        read(read_pets, tmp_path / target, pets(), target=target)
        for target in ("breeds", "species", "heads")
    )
    assert labels(breeds) == {"images/Big_Cat_1.jpg": "Big Cat", "images/beagle_7.jpg": "beagle"}
    assert splits(breeds) == {"images/Big_Cat_1.jpg": "train", "images/beagle_7.jpg": "test"}
    assert labels(species) == {"images/Big_Cat_1.jpg": "cat", "images/beagle_7.jpg": "dog"}
    (head,) = heads.records
    assert [item.bbox for item in head.objects or ()] == [(0, 0, 3, 2)]
    with archive_of(tmp_path / "trimaps", pets()) as archive:
        reading = read_pets(archive, target="trimaps")
        split = written(tmp_path, pets(), reading, archive)
    assert SemanticMask().classes(split) == ["background", "pet"]
    mask = SemanticMask().sample(split.row(0, SemanticMask.columns)).mask
    assert mask is not None
    assert mask.tolist() == [[1, 0, 255], [0, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "target", "words"),
    [
        ({"annotations/test.txt": "beagle_8 2 2 1"}, "breeds", ["images/beagle_8.jpg"]),
        ({"annotations/test.txt": "beagle_7 2 3 1"}, "breeds", ["beagle_7 2 3 1"]),
        ({"annotations/test.txt": "beagle_7 1 2 1"}, "breeds", ["'Big Cat'", "'beagle'"]),
        ({"annotations/test.txt": "beagle_7 3 2 1"}, "breeds", ["[1, 3]"]),
        ({}, "tails", ["'tails'", "trimaps"]),
    ],
)
def test_pets_refuse(
    tmp_path: Path, changes: dict[str, str], target: str, words: list[str]
) -> None:
    message = refusal(read_pets, tmp_path, pets(**changes), target=target)
    assert all(word in message for word in words), message


# --- Hugging Face parquet


def cell(seed: int, name: str | None = None) -> dict[str, Any]:
    pixels = np.random.default_rng(seed).integers(0, 2, (4, 5), np.uint8)
    return {"bytes": image(pixels), "path": name}


HF_ROWS: list[dict[str, Any]] = [
    {
        "image": cell(row, f"{row}.PNG"),
        "label": row % 2,
        "tags": [1, 0, 1] if row else [],
        "objects": {"bbox": [[1, 1, 2, 3]] * row, "category": [1] * row},
        "boxes": [{"bbox": [1.0, 1.0, 2.0, 3.0], "category": 0}] * row,
        "annotation": cell(10 + row),
    }
    for row in range(5)
]
CLASS_LABEL = {"names": ["cat", "dog"], "_type": "ClassLabel"}
FEATURES = {
    "info": {
        "features": {
            "label": CLASS_LABEL,
            "tags": {"feature": CLASS_LABEL, "_type": "Sequence"},
            "objects": {"feature": {"category": CLASS_LABEL, "bbox": {}}, "_type": "Sequence"},
        }
    }
}


def hf(tmp_path: Path, **options: Any) -> Reading:
    members = {"d/0.parquet": parquet_of(HF_ROWS, FEATURES)}
    return read(read_parquet, tmp_path, members, files={"train": ["d/0.parquet"]}, **options)


def test_parquet_labels_and_images_in_any_order(tmp_path: Path) -> None:
    members = {
        "d/0.parquet": parquet_of(HF_ROWS, FEATURES),
        "d/1.parquet": parquet_of(HF_ROWS[1:2], FEATURES),
    }
    with archive_of(tmp_path, members) as archive:
        reading = read_parquet(
            archive, files={"train": "d/0.parquet", "test": "d/1.parquet"}, annotation="label"
        )
        order = [4, 5, 0, 3, 1, 2]
        contents = {index: reading.records[index].read(archive) for index in order}
    assert reading.classes == ["cat", "dog"]
    assert [record.label for record in reading.records] == [0, 1, 0, 1, 0, 1]
    assert [record.split for record in reading.records] == ["train"] * 5 + ["test"]
    assert reading.records[4].id == "d/0.parquet/000004.png"
    assert all(contents[row] == HF_ROWS[row]["image"]["bytes"] for row in range(5))
    assert contents[5] == HF_ROWS[1]["image"]["bytes"]


def test_parquet_of_several_labels_boxes_and_masks(tmp_path: Path) -> None:
    several = hf(tmp_path / "a", annotation="labels", column="tags")
    assert [record.labels for record in several.records] == [(), *[(0, 1)] * 4]
    boxes = hf(tmp_path / "b", annotation="objects")
    assert boxes.classes == ["cat", "dog"]
    assert Counter(item.bbox for record in boxes.records for item in record.objects or ()) == {
        (1, 1, 3, 4): 10
    }
    other = hf(tmp_path / "c", annotation="objects", column="boxes", box_format="xyxy")
    assert (other.records[1].objects or ())[0].bbox == (1, 1, 2, 3)
    members = {"d/0.parquet": parquet_of(HF_ROWS, FEATURES)}
    with archive_of(tmp_path / "d", members) as archive:
        reading = read_parquet(
            archive, files={"train": "d/0.parquet"}, annotation="mask", column="annotation",
            classes=["no", "yes"],
        )  # fmt: skip
        split = written(tmp_path / "d", members, reading, archive)
    mask = SemanticMask().sample(split.row(3, SemanticMask.columns)).mask
    assert mask is not None
    expected = np.asarray(Image.open(io.BytesIO(HF_ROWS[3]["annotation"]["bytes"])))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"column": "kind"}, ["'kind'", "image, label"]),
        ({}, {"image": "label"}, ["'label'", "bytes and path"]),
        ({"label": 7}, {}, ["row 0", "7", "0 to 1"]),
        ({"label": None}, {}, ["row 0", "None"]),
        ({}, {"column": "boxes", "annotation": "labels"}, ["'boxes'", "`classes`"]),
        ({"objects": {"bbox": [[1, 1, -2, 3]], "category": [1]}}, {"annotation": "objects"},
         ["row 0", "reversed"]),
        ({"objects": {"bbox": [[1, 1, 2]], "category": [1]}}, {"annotation": "objects"},
         ["row 0", "four numbers"]),
        ({"objects": {"bbox": [[1, 1, 2, 2]], "category": [1, 0]}}, {"annotation": "objects"},
         ["row 0", "1 boxes", "2 classes"]),
        ({}, {"annotation": "box"}, ["'box'", "label or labels"]),
    ],
)  # fmt: skip
def test_parquet_refuses(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], words: list[str]
) -> None:
    members = {"d/0.parquet": parquet_of([{**HF_ROWS[1], **change}], FEATURES)}
    given = {"files": {"train": "d/0.parquet"}, "annotation": "label", **options}
    message = refusal(read_parquet, tmp_path, members, **given)
    assert all(word in message for word in words), message


def test_an_empty_image_of_a_parquet_file_is_refused_by_row(tmp_path: Path) -> None:
    rows = [HF_ROWS[0], {**HF_ROWS[1], "image": {"bytes": None, "path": "x.png"}}]
    members = {"d/0.parquet": parquet_of(rows, FEATURES)}
    with archive_of(tmp_path, members) as archive:
        reading = read_parquet(archive, files={"train": "d/0.parquet"}, annotation="label")
        with pytest.raises(ViewfinderError, match=r"row 1 of 'd/0\.parquet' has no 'image'"):
            reading.records[1].read(archive)


# --- masks in split files


def test_a_split_with_images_without_a_mask_says_so(tmp_path: Path) -> None:
    members = {"a.png": grey(), "b.png": grey(), "m.png": grey()}
    records = [Record("a.png", mask=MaskFile("m.png")), Record("b.png")]
    with archive_of(tmp_path, members) as archive:
        split = written(tmp_path, members, Reading(["x"], ["mask"], records), archive)
    assert SemanticMask().lacks(split) == "masks (1 of 2 images have none)"
