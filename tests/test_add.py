"""A data set of one's own: recognised, added, and tracked by its content."""

import gzip
import json
import pickle
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Call, Run, make_clone, runner
from hydra.utils import get_method

from viewfinder.cli import main
from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.readers.folders import read_class_folders
from viewfinder.data.readers.record import Reading
from viewfinder.data.recognition.formats import recognise
from viewfinder.data.recognition.names import Format
from viewfinder.data.sources.digit_scenes import write_digit_scenes
from viewfinder.data.sources.pack import pack_folder
from viewfinder.errors import ViewfinderError

VOC = (
    "<annotation><size><width>40</width><height>32</height></size><object><name>cat</name>"
    "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>24</ymax></bndbox></object>"
    "</annotation>"
)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)


def class_folders(folder: Path, prefix: str = "photos", each: int = 10) -> None:
    for label, name in enumerate(("cat", "dog")):
        for number in range(each):
            picture(folder / prefix / name / f"{number}.png", 1000 * label + number)


def large_photos(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        assert cv2.imwrite(str(folder / name / "0.png"), np.full((300, 400, 3), 9, np.uint8))


def split_folders(folder: Path) -> None:
    for split in ("training", "validation", "test"):
        class_folders(folder, split, each=2)


def voc(folder: Path, annotations: str = "Annotations") -> None:
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        picture(folder / "JPEGImages" / f"{number}.png", number)
        (folder / annotations).mkdir(exist_ok=True)
        (folder / annotations / f"{number}.xml").write_text(VOC)
        listing = folder / "ImageSets" / "Main" / f"{split}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text(f"{number}\n")


def voc_of_splits(folder: Path) -> None:
    voc(folder)
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        for part, suffix in (("JPEGImages", "png"), ("Annotations", "xml")):
            (folder / part / split).mkdir()
            file = folder / part / f"{number}.{suffix}"
            file.rename(folder / part / split / file.name)
        listing = folder / "ImageSets" / "Main" / f"{split}.txt"
        listing.write_text(f"{split}/{number}\n")
    picture(folder / "SegmentationClass" / "0.png", 9)


def voc_beside(folder: Path) -> None:
    for number in range(3):
        picture(folder / "JPEGImages" / f"{number}.png", number)
        (folder / "JPEGImages" / f"{number}.xml").write_text(VOC)


def coco(folder: Path) -> None:
    counts = {"train": 4, "val": 2, "test": 2}
    write_digit_scenes(folder, seed=0, counts=counts, size=48, digits=(1, 2), digit_size=(16, 24))
    shutil.unpack_archive(folder / "scenes.zip", folder)
    (folder / "scenes.zip").unlink()


def yolo(folder: Path) -> None:
    for split in ("train", "val"):
        picture(folder / "images" / split / "0.png", 0)
        label = folder / "labels" / split / "0.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")


def instances(folder: Path) -> None:
    for name in ("a", "b"):
        picture(folder / name / "images" / f"{name}.png", 0)
        picture(folder / name / "masks" / "1.png", 1)


def table(folder: Path) -> None:
    picture(folder / "pictures" / "0.png", 0)
    (folder / "list.csv").write_text("filename,label\n0.png,cat\n")


def table_of_several(folder: Path) -> None:
    picture(folder / "pictures" / "a1.png", 0)
    (folder / "list.csv").write_text("Id;Tags;split\na1;cat|dog;train\n")


def index_masks(folder: Path, values: tuple[int, ...] = (0, 2, 255), suffix: str = "") -> None:
    for split in ("train", "val"):
        picture(folder / split / "0.png", 0)
        pixels = np.array(values, np.uint8).repeat(20).reshape(-1, 10)
        target = folder / f"{split}annot" / f"0{suffix}.png"
        target.parent.mkdir()
        assert cv2.imwrite(str(target), pixels)


def black_and_white_masks(folder: Path) -> None:
    index_masks(folder, values=(0, 255), suffix="_mask")
    shutil.rmtree(folder / "val")
    shutil.rmtree(folder / "valannot")


def parquet(folder: Path) -> None:
    picture(folder / "0.png", 0)
    image = {"bytes": (folder / "0.png").read_bytes(), "path": "0.png"}
    names = {"info": {"features": {"fine": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    table = pa.Table.from_pylist([{"img": image, "fine": 1}])
    table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    (folder / "0.png").unlink()


def roboflow_coco(folder: Path) -> None:
    for number, split in enumerate(("train", "valid", "test")):
        coco_json(folder / split / "_annotations.coco.json", ["0.png"])
        picture(folder / split / "0.png", number)


def coco_2017(folder: Path) -> None:
    for number, split in enumerate(("train", "val")):
        for kind in ("instances", "person_keypoints"):
            coco_json(folder / "annotations" / f"{kind}_{split}2017.json", [f"{number}.png"])
        picture(folder / f"{split}2017" / f"{number}.png", number)


def coco_json(path: Path, images: list[str]) -> None:
    document = {
        "images": [
            {"id": number, "file_name": name, "width": 40, "height": 32}
            for number, name in enumerate(images)
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def voc_with_masks(folder: Path) -> None:
    voc(folder)
    for number in range(3):
        picture(folder / "SegmentationClass" / f"{number}.png", 10 + number)


def voc_from_zero(folder: Path) -> None:
    voc_beside(folder)
    document = folder / "JPEGImages" / "1.xml"
    document.write_text(VOC.replace("<xmin>3<", "<xmin>0<"))


def yolo_of_another_name(folder: Path) -> None:
    yolo(folder)
    (folder / "data.yaml").rename(folder / "coco8.yaml")


def table_with_mark(folder: Path) -> None:
    table(folder)
    (folder / "list.csv").write_text("\ufefffilename,label\n0.png,cat\n")


def tables_of_splits(folder: Path) -> None:
    for split, seed in (("train", 0), ("valid", 1)):
        picture(folder / "pictures" / f"{split}.png", seed)
        (folder / f"{split}.csv").write_text(f"picture,labels\n{split}.png,cat\n")


def classes_called_mask(folder: Path) -> None:
    for seed, name in enumerate(("face_mask", "no_mask")):
        picture(folder / "faces" / name / "1.png", seed)


def mnist(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, seed in (("train", 0), ("t10k", 1)):
        pixels = np.random.default_rng(seed).integers(0, 256, (2, 8, 8), np.uint8)
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 8, 8))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = b"\0\0\x08\x01" + (2).to_bytes(4, "big") + bytes([0, 2])
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(labels)


def cifar_100(folder: Path) -> None:
    folder = folder / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["cat", "dog"]}))
    for seed, split in enumerate(("train", "test")):
        pixels = np.random.default_rng(seed).integers(0, 256, (2, 3072), np.uint8)
        batch = {"data": pixels, "fine_labels": [0, 1]}
        (folder / split).write_bytes(pickle.dumps(batch, protocol=2))


def pets(folder: Path) -> None:
    (folder / "annotations").mkdir(parents=True)
    for name in ("list", "trainval", "test"):
        breed = {"trainval": "Abyssinian_1", "test": "Abyssinian_2"}.get(name, "Abyssinian_3")
        (folder / "annotations" / f"{name}.txt").write_text(f"{breed} 1 1 1\n")
        picture(folder / "images" / f"{breed}.jpg", len(name))


@pytest.mark.parametrize(
    ("make", "reader", "options"),
    [
        (class_folders, "read_class_folders", {"root": "photos"}),
        (
            split_folders,
            "read_class_folders",
            {"splits": {"train": "training", "val": "validation", "test": "test"}},
        ),
        (
            voc,
            "read_voc",
            {
                "sets": {name: f"ImageSets/Main/{name}.txt" for name in ("train", "val", "test")},
                "images": "JPEGImages",
                "annotations": "Annotations",
            },
        ),
        (
            voc_of_splits,
            "read_voc",
            {
                "sets": {name: f"ImageSets/Main/{name}.txt" for name in ("train", "val", "test")},
                "images": "JPEGImages",
                "annotations": "Annotations",
            },
        ),
        (voc_beside, "read_voc_folders", {}),
        (
            coco,
            "read_coco",
            {
                "annotations": {n: f"annotations/{n}.json" for n in ("train", "val", "test")},
                "images": {"train": "train", "val": "val", "test": "test"},
            },
        ),
        (yolo, "read_yolo", {"data": "data.yaml"}),
        (instances, "read_instance_folders", {"class_name": "object"}),
        (
            table,
            "read_table",
            {"tables": "list.csv", "image": "filename", "label": "label", "root": "pictures"},
        ),
        (
            roboflow_coco,
            "read_coco",
            {
                "annotations": {
                    "train": "train/_annotations.coco.json",
                    "val": "valid/_annotations.coco.json",
                    "test": "test/_annotations.coco.json",
                },
                "images": {"train": "train", "val": "valid", "test": "test"},
            },
        ),
        (
            coco_2017,
            "read_coco",
            {
                "annotations": {
                    "train": "annotations/instances_train2017.json",
                    "val": "annotations/instances_val2017.json",
                },
                "images": {"train": "train2017", "val": "val2017"},
            },
        ),
        (
            voc_with_masks,
            "read_voc",
            {
                "sets": {name: f"ImageSets/Main/{name}.txt" for name in ("train", "val", "test")},
                "images": "JPEGImages",
                "annotations": "Annotations",
            },
        ),
        (voc_from_zero, "read_voc_folders", {"corners": "edges"}),
        (yolo_of_another_name, "read_yolo", {"data": "coco8.yaml"}),
        (
            table_with_mark,
            "read_table",
            {"tables": "list.csv", "image": "filename", "label": "label", "root": "pictures"},
        ),
        (
            tables_of_splits,
            "read_table",
            {
                "tables": {"train": "train.csv", "val": "valid.csv"},
                "image": "picture",
                "label": "labels",
                "root": "pictures",
            },
        ),
        (classes_called_mask, "read_class_folders", {"root": "faces"}),
        (
            mnist,
            "read_idx",
            {
                "images": {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"},
                "labels": {"train": "train-labels-idx1-ubyte", "test": "t10k-labels-idx1-ubyte"},
                "classes": ["0", "1", "2"],
            },
        ),
        (
            cifar_100,
            "read_cifar",
            {
                "batches": {
                    "train": ["cifar-100-python/train"],
                    "test": ["cifar-100-python/test"],
                },
                "meta": "cifar-100-python/meta",
                "labels": "fine_labels",
                "names": "fine_label_names",
            },
        ),
        (pets, "read_pets", {"target": "breeds"}),
        (
            table_of_several,
            "read_table",
            {
                "tables": "list.csv",
                "image": "Id",
                "label": "Tags",
                "delimiter": ";",
                "root": "pictures",
                "suffix": ".png",
                "separator": "|",
                "split": "split",
            },
        ),
        (
            index_masks,
            "read_mask_folders",
            {
                "images": {"train": "train", "val": "val"},
                "masks": {"train": "trainannot", "val": "valannot"},
                "classes": ["class_0", "class_1", "class_2"],
            },
        ),
        (
            black_and_white_masks,
            "read_mask_folders",
            {
                "images": "train",
                "masks": "trainannot",
                "suffix": "_mask",
                "classes": ["background", "object"],
                "values": {255: 1},
            },
        ),
        (
            parquet,
            "read_parquet",
            {
                "files": {
                    "train": ["train-00000-of-00001.parquet"],
                    "test": ["test-00000-of-00001.parquet"],
                },
                "annotation": "label",
                "column": "fine",
                "image": "img",
            },
        ),
    ],
)
def test_a_format_is_recognised(
    tmp_path: Path, make: Callable[[Path], None], reader: str, options: dict
) -> None:
    with archive_of(tmp_path, make) as archive:
        found = recognise(archive)
    assert found.reader.rpartition(".")[2] == reader
    assert found.options == options
    with archive_of(tmp_path / "again", make) as archive:
        reading = get_method(found.reader)(archive, **found.options)
    assert reading.records
    assert not reading.left_out


def recognised(folder: Path, make: Callable[[Path], None]) -> tuple[Format, Reading]:
    with archive_of(folder, make) as archive:
        found = recognise(archive)
        return found, get_method(found.reader)(archive, **found.options)


def sides(reading: Reading) -> Counter[str | None]:
    return Counter(record.split for record in reading.records)


def list_of(cells: list[str], column: str = "labels", suffix: str = "csv") -> Callable[..., None]:
    """Make images and a list of them, one for each cell."""

    def make(folder: Path) -> None:
        names = [f"{number}.png" for number in range(len(cells))]
        for seed, name in enumerate(names):
            picture(folder / "pictures" / name, seed)
        columns = {"image": names, column: cells}
        if suffix == "parquet":
            pq.write_table(pa.table(columns), folder / "list.parquet")
            return
        mark = {"csv": ",", "tsv": "\t"}[suffix]
        rows = [
            mark.join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True)
        ]
        text = "\n".join([mark.join(columns), *rows])
        (folder / f"list.{suffix}").write_text(text, encoding="utf-8")

    return make


@pytest.mark.parametrize(
    ("column", "cells", "classes", "note"),
    [
        ("labels", ["polar bear", "brown bear"], ["brown bear", "polar bear"], "would part it"),
        ("tags", ["bear", "polar bear", "fox"], ["bear", "fox", "polar bear"], "would part it"),
        ("tags", ["haze", "road", "road haze", "haze sea", "sea"], ["haze", "road", "sea"], "' '"),
        ("labels", ["cat, dog", "dog"], ["cat", "dog"], "','"),
        ("class", ["cat|dog", "dog"], ["cat", "dog"], "'|'"),
        ("class", ["dog; wild", "cat"], ["cat", "dog; wild"], "would part it"),
        ("label", ["polar bear", "cat"], ["cat", "polar bear"], ""),
    ],
)
def test_what_stands_between_classes_is_taken_with_evidence_and_said(
    tmp_path: Path, column: str, cells: list[str], classes: list[str], note: str
) -> None:
    found, reading = recognised(tmp_path, list_of(cells, column))
    assert reading.classes == classes
    assert ("separator" in found.options) == (reading.annotations == ["labels"])
    assert note in found.note
    assert bool(note) == bool(found.note)


@pytest.mark.parametrize(
    ("column", "cells", "found"),
    [
        ("set", ["train", "valid"], {"train": 1, "val": 1}),
        ("Subset", ["Train ", "test"], {"train": 1, "test": 1}),
        ("set", ["A", "B"], {None: 2}),
    ],
)
def test_a_column_that_names_splits_is_taken(
    tmp_path: Path, column: str, cells: list[str], found: dict[str | None, int]
) -> None:
    def make(folder: Path) -> None:
        list_of(["cat", "dog"], "label")(folder)
        first, *rows = (folder / "list.csv").read_text().splitlines()
        lines = [f"{row},{cell}" for row, cell in zip(rows, cells, strict=True)]
        (folder / "list.csv").write_text("\n".join([f"{first},{column}", *lines]))

    _, reading = recognised(tmp_path, make)
    assert sides(reading) == found


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_a_list_may_have_another_form_than_csv(tmp_path: Path, suffix: str) -> None:
    _, reading = recognised(tmp_path, list_of(["cat", "dog", "cat"], "label", suffix))
    assert [record.label for record in reading.records] == [0, 1, 0]


def test_a_list_is_seen_though_its_first_images_are_missing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        list_of(["cat", "dog", "cat", "dog"], "label")(folder)
        (folder / "pictures" / "0.png").unlink()

    _, reading = recognised(tmp_path, make)
    assert len(reading.records) == 3
    assert [item.id for item in reading.left_out] == ["pictures/0.png"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_in_a_list_may_be_written_in_decomposed_letters(tmp_path: Path, suffix: str) -> None:
    def make(folder: Path) -> None:
        picture(folder / "caf\u00e9.png", 0)
        columns = {"image": ["cafe\u0301.png"], "label": ["cat"]}
        if suffix == "parquet":
            pq.write_table(pa.table(columns), folder / "list.parquet")
        else:
            text = "image,label\ncafe\u0301.png,cat\n"
            (folder / "list.csv").write_text(text, encoding="utf-8")

    _, reading = recognised(tmp_path, make)
    assert [record.id for record in reading.records] == ["caf\u00e9.png"]


@pytest.mark.parametrize(
    ("starts", "stated", "corners"),
    [
        ([0, 3], "", "edges"),
        ([0, 1], "", "edges"),
        ([0, 1, 1], "", "inclusive"),
        ([1, 3], "", "inclusive"),
        ([0, 3], "inclusive", "inclusive"),
        ([1, 3], "edges", "edges"),
    ],
)
def test_what_most_voc_boxes_start_at_tells_what_they_count_from(
    tmp_path: Path, starts: list[int], stated: str, corners: str
) -> None:
    def make(folder: Path) -> None:
        for number, start in enumerate(starts):
            picture(folder / f"{number}.png", number)
            text = VOC.replace("<xmin>3<", f"<xmin>{start}<")
            if stated:
                text = text.replace("<size>", f"<corners>{stated}</corners><size>")
            (folder / f"{number}.xml").write_text(text)

    found, _ = recognised(tmp_path, make)
    assert found.options.get("corners", "inclusive") == corners
    assert f"count from {0 if corners == 'edges' else 1}" in found.note


def test_voc_without_lists_has_one_folder_of_images_and_one_of_xml(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        for number in range(3):
            picture(folder / "images" / f"{number}.png", number)
            (folder / "annotations").mkdir(exist_ok=True)
            (folder / "annotations" / f"{number}.xml").write_text(VOC)

    _, reading = recognised(tmp_path, make)
    assert not reading.left_out
    assert sides(reading) == {None: 3}


def test_voc_folders_of_splits_without_lists_are_not_joined(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        voc_of_splits(folder)
        shutil.rmtree(folder / "ImageSets")
        shutil.rmtree(folder / "SegmentationClass")

    with pytest.raises(ViewfinderError, match="no lists"):
        recognised(tmp_path, make)


def test_voc_lists_of_trainval_and_test_leave_val_to_be_drawn(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        voc(folder)
        (folder / "ImageSets" / "Main" / "train.txt").unlink()
        (folder / "ImageSets" / "Main" / "trainval.txt").write_text("0\n1\n")

    found, reading = recognised(tmp_path, make)
    assert not reading.left_out
    assert sides(reading) == {"train": 2, "test": 1}
    assert "val is drawn from trainval" in found.note


def test_yolo_is_seen_behind_backgrounds_and_byte_order_marks(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        yolo(folder)
        label = folder / "labels" / "train" / "0.txt"
        label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes())
        (folder / "labels" / "val" / "0.txt").write_text("")
        for number in range(60):
            image = folder / "images" / "train" / "0.png"
            shutil.copy(image, image.with_name(f"-{number}.png"))
            (folder / "labels" / "train" / f"-{number}.txt").touch()

    found, reading = recognised(tmp_path, make)
    assert found.name == "YOLO"
    assert len(reading.records) == 62


@pytest.mark.parametrize("name", ["./pictures/caf\u00e9.png", "cafe\u0301.png"])
def test_coco_is_seen_however_it_writes_its_images_names(tmp_path: Path, name: str) -> None:
    def make(folder: Path) -> None:
        picture(folder / "pictures" / "caf\u00e9.png", 0)
        coco_json(folder / "a.json", [name])

    _, reading = recognised(tmp_path, make)
    assert [record.id for record in reading.records] == ["pictures/caf\u00e9.png"]


def test_parquet_files_may_say_their_split_by_their_folder(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        parquet(folder)
        for split in ("train", "test"):
            (folder / "default" / split).mkdir(parents=True)
            file = folder / f"{split}-00000-of-00001.parquet"
            file.rename(folder / "default" / split / "0000.parquet")

    found, reading = recognised(tmp_path, make)
    files = {split: [f"default/{split}/0000.parquet"] for split in ("train", "test")}
    assert found.options["files"] == files
    assert sides(reading) == {"train": 1, "test": 1}


def masks(folder: Path) -> None:
    picture(folder / "train" / "0.png", 0)
    picture(folder / "trainannot" / "1.png", 1)


def one_folder(folder: Path) -> None:
    picture(folder / "photos" / "0.png", 0)


def two_folders(folder: Path) -> None:
    """What would pass for two classes if the annotations beside it were not seen."""
    for seed, name in enumerate(("p", "q")):
        picture(folder / name / f"{seed}.png", seed)


def coco_for_one_split_twice(folder: Path) -> None:
    two_folders(folder)
    coco_json(folder / "a.json", ["0.png"])
    coco_json(folder / "b.json", ["1.png"])


def coco_without_images(folder: Path) -> None:
    two_folders(folder)
    coco_json(folder / "a" / "train.json", ["missing.png"])


def voc_without_lists(folder: Path) -> None:
    two_folders(folder)
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "0.xml").write_text(VOC)


def yolo_without_classes(folder: Path) -> None:
    yolo(folder)
    (folder / "data.yaml").unlink()


def table_of_boxes(folder: Path) -> None:
    two_folders(folder)
    (folder / "list.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n0.png,cat,1,2,3,4\n")


def table_without_classes(folder: Path) -> None:
    two_folders(folder)
    (folder / "list.csv").write_text("filename,age\n0.png,4\n")


def splits_without_classes(folder: Path) -> None:
    for seed, name in enumerate(("train2017", "test2017")):
        picture(folder / name / f"{seed}.png", seed)


def parquet_without_names(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = {"bytes": b"", "path": "0.png"}
    pq.write_table(pa.Table.from_pylist([{"image": image, "label": 1}]), folder / "train.parquet")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (masks, "camvid_quarter.yaml"),
        (one_folder, "one folder a class"),
        (coco_for_one_split_twice, "'a.json' and 'b.json' both seem to be for train"),
        (coco_without_images, "no image that 'a/train.json' lists .as 'missing.png'. is there"),
        (voc_without_lists, "XML files.* no lists such as ImageSets/Main/train.txt"),
        (yolo_without_classes, "text files.*'labels/train/0.txt' no data.yaml"),
        (table_of_boxes, "'list.csv' has boxes"),
        (table_without_classes, "none of the columns of 'list.csv' .filename, age."),
        (splits_without_classes, "images in test2017, train2017, which are splits"),
        (parquet_without_names, "no column of 'train.parquet' holds numbers of classes"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_mend(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    with archive_of(tmp_path, make) as archive:
        with pytest.raises(ViewfinderError, match=message):
            recognise(archive)


PHOTO = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def mask(*values: int) -> np.ndarray:
    """A mask as large as the photo, with these values."""
    return np.resize(np.array(values, np.uint8), (32, 40))


def archive_of_files(folder: Path, files: dict[str, Any]) -> Archive:
    """Pack pictures of these pixels, and files of these bytes; braces stand for several names."""

    def make(made: Path) -> None:
        for pattern, content in files.items():
            for name in expanded(pattern):
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    assert cv2.imwrite(str(path), content)

    return archive_of(folder, make)


def expanded(pattern: str) -> list[str]:
    """Write ``{a,b}/{1,2}.png`` out, as a shell does."""
    head, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    choices, _, tail = rest.partition("}")
    return [head + choice + end for choice in choices.split(",") for end in expanded(tail)]


@pytest.mark.parametrize(
    ("files", "options", "classes", "note"),
    [
        # Splits by other names; folders that belong to none are left out, and named.
        (
            {"d/{train_set,test_set}/{a,b}/{1,2}.png": PHOTO},
            {"splits": {"train": "d/train_set", "test": "d/test_set"}},
            ["a", "b"],
            "",
        ),
        (
            {"{trainset,testset}/{a,b}/{1,2}.png": PHOTO},
            {"splits": {"train": "trainset", "test": "testset"}},
            ["a", "b"],
            "",
        ),
        (
            {
                "seg_{train/seg_train,test/seg_test}/{a,b}/1.png": PHOTO,
                "seg_pred/p/{1,2}.png": PHOTO,
            },
            {
                "splits": {"train": "seg_train/seg_train", "test": "seg_test/seg_test"},
                "images": ["seg_train/seg_train/*", "seg_test/seg_test/*"],
            },
            ["a", "b"],
            "'seg_pred' (images: 2)",
        ),
        (
            {"train/{a,b}/{1,2}.png": PHOTO, "test/{1,2,3}.png": PHOTO, "preview.png": PHOTO},
            {"splits": {"train": "train"}, "images": ["train/*"]},
            ["a", "b"],
            "'test' (images: 3)",
        ),
        (
            {"{train,test}/{cat,dog}/session{1,2}/1.png": PHOTO},
            {"splits": {"train": "train", "test": "test"}},
            ["cat", "dog"],
            "",
        ),
        ({"{bus,car,train}/1.png": PHOTO}, {"root": ""}, ["bus", "car", "train"], ""),
        # The top folders are the classes.
        (
            {"cat/s{1,2}/{1,2}.png": PHOTO, "dog/s{3,4}/1.png": PHOTO},
            {"root": ""},
            ["cat", "dog"],
            "'cat/s2' is a part of 'cat'",
        ),
        (
            {"cat/1.png": PHOTO, "dog/{outdoor,indoor}/1.png": PHOTO},
            {"root": ""},
            ["cat", "dog"],
            "'dog/outdoor' is a part of 'dog'",
        ),
        (
            {
                "{cat,dog}/{1,2}.png": PHOTO,
                "bird/{1,2}.HEIC": b"",
                "bird/3.jp2": b"",
                "a/b.txt": b"",
            },
            {"root": ""},
            ["cat", "dog"],
            "can be read: 'bird' (.heic 2, .jp2 1)",
        ),
    ],
)
def test_class_folders_are_told_from_splits_and_parts(
    tmp_path: Path, files: dict[str, Any], options: dict[str, Any], classes: list[str], note: str
) -> None:
    with archive_of_files(tmp_path, files) as archive:
        found = recognise(archive)
        reading = read_class_folders(archive, **found.options)
    assert found.options == options
    assert reading.classes == classes
    assert note in found.note
    assert bool(found.note) == bool(note)


def test_a_stray_image_beside_class_folders_is_one_problem(tmp_path: Path) -> None:
    files = {"{cat,dog}/{1,2}.png": PHOTO, "preview.png": PHOTO}
    with archive_of_files(tmp_path, files) as archive:
        reading = read_class_folders(archive, **recognise(archive).options)
    assert len(reading.records) == 4
    assert [item.id for item in reading.left_out] == ["preview.png"]


MASK_FOLDERS = {"images": "images", "masks": "masks"}
NUMBERED = ["class_0", "class_1", "class_2"]


@pytest.mark.parametrize(
    ("files", "options", "note"),
    [
        ({"image/{1,2}.png": PHOTO, "label/{1,2}.png": mask(0, 1, 2)},
         {"images": "image", "masks": "label", "classes": NUMBERED}, ""),
        ({"JPEGImages/{1,2,3}.jpg": PHOTO, "Segmentation{Class,Object}/{1,2,3}.png": mask(0, 1, 2),
          "ImageSets/Segmentation/train.txt": b"1\n2", "ImageSets/Segmentation/val.txt": b"3"},
         {"images": "JPEGImages/{name}.jpg", "masks": "SegmentationClass/{name}.png",
          "lists": {s: f"ImageSets/Segmentation/{s}.txt" for s in ("train", "val")},
          "classes": NUMBERED}, "left out: 'SegmentationObject' (images: 3)"),
        ({"{train,test}/images/{1,2}.png": PHOTO, "{train,test}/masks/{1,2}.png": mask(0, 1, 2)},
         {"images": {"train": "train/images", "test": "test/images"},
          "masks": {"train": "train/masks", "test": "test/masks"}, "classes": NUMBERED}, ""),
        ({"images/{train,val}/{1,2}.png": PHOTO, "masks/{train,val}/{1,2}.png": mask(0, 1, 2)},
         {"images": {"train": "images/train", "val": "images/val"},
          "masks": {"train": "masks/train", "val": "masks/val"}, "classes": NUMBERED}, ""),
        ({"train/{1,2}.jpg": PHOTO, "train_masks/{1,2}_mask.png": mask(0, 255),
          "test/3.jpg": PHOTO},
         {"images": "train", "masks": "train_masks", "suffix": "_mask",
          "classes": ["background", "object"], "values": {255: 1}}, "left out: 'test' (images: 1)"),
        ({"before/{1,2}.jpg": PHOTO, "gt/{1,2}.png": mask(0, 1, 2)},
         {"images": "before", "masks": "gt", "classes": NUMBERED}, ""),
        # Values with gaps, and a class that one mask of many holds.
        ({"images/{1,2}.jpg": PHOTO, "masks/{1,2}.png": mask(0, 1, 128)},
         MASK_FOLDERS | {"classes": ["class_0", "class_1", "class_128"], "values": {128: 2}},
         "the values 0, 1, 128, numbered from 0"),
        ({"images/{1,2}.jpg": PHOTO, "masks/{1,2}.png": mask(0, 127, 255)},
         MASK_FOLDERS | {"classes": ["class_0", "class_127", "class_255"],
                         "values": {127: 1, 255: 2}}, "the values 0, 127, 255"),
        ({f"images/{{{','.join(map(str, range(130)))}}}.png": PHOTO,
          f"masks/{{{','.join(map(str, range(130)))}}}.png": mask(0, 1), "masks/4.png": mask(0, 2)},
         MASK_FOLDERS | {"classes": NUMBERED}, ""),
        # Some masks that can't be used are for the reader and the split stage to name.
        ({"images/{1,2,3,4}.jpg": PHOTO, "masks/{1,2}.png": mask(0, 1, 2), "masks/3.png": PHOTO},
         MASK_FOLDERS | {"classes": NUMBERED},
         "1 of 3 masks can't be used: the mask 'masks/3.png' has colours"),
    ],
)  # fmt: skip
def test_index_masks_are_recognised(
    tmp_path: Path, files: dict[str, Any], options: dict[str, Any], note: str
) -> None:
    with archive_of_files(tmp_path, files) as archive:
        found = recognise(archive)
        reading = get_method(found.reader)(archive, **found.options)
    assert found.options == options
    assert note in found.note
    assert bool(found.note) == bool(note)
    assert all(record.mask is not None for record in reading.records)


def test_an_image_without_masks_is_one_problem(tmp_path: Path) -> None:
    white = mask(0, 255)
    files = {f"{name}/{part}/1.png": white for name in "abcde" for part in ("images", "masks")}
    with archive_of_files(tmp_path, files | {"f/images/1.png": white}) as archive:
        found = recognise(archive)
        reading = get_method(found.reader)(archive, **found.options)
    assert len(reading.records) == 5
    assert [item.id for item in reading.left_out] == ["f/images/1.png"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images/{1,2}.png": PHOTO, "masks/{1,2}.png": PHOTO}, "'masks/1.png' has colours"),
        ({"images/{1,2}.png": PHOTO, "masks/{1,2}.jpg": mask(0, 255)}, "are JPEG files.*PNG"),
        ({"images/{1,2}.png": PHOTO, "masks/{1,2}.png": PHOTO[..., 0]}, "different values"),
        ({"{a,b}/images/{1,2}.png": PHOTO, "{a,b}/masks/{1,2}.png": mask(1)}, "'a/images' with"),
        ({"one/{1,2}.jpg": PHOTO, "two/{1,2}.png": mask(0, 1)}, "another kind in 'one' and 'two'"),
        ({"{train,training,test}/{a,b}/1.png": PHOTO}, "'train', 'training' all seem to be for"),
        ({"images/train/1.png": PHOTO, "images/val/2.png": PHOTO, "masks/{1,2}.png": mask(0, 1)},
         "'masks' holds masks of the images in 'images/.*' and in 'images/.*'; expected"),
        ({"images/a/1.png": PHOTO, "images/b/2.png": PHOTO, "masks/{1,2}.png": mask(0, 1)},
         "seems to hold masks in 'masks'"),
        ({"{trainA,trainB,testA,testB}/1.png": PHOTO}, "images in test., train., which are splits"),
        ({"{val,test}/{a,b}/1.png": PHOTO}, "images in test, val, which are splits"),
        ({"{a,b}/{train,test}/1.png": PHOTO}, "the splits test, train below the folders 'a', 'b'"),
        (
            {"{train,more}/{a,b}/1.png": PHOTO, "train/1.png": PHOTO},
            "folders in 'train', as a split does.*'more'",
        ),
    ],
)  # fmt: skip
def test_folders_that_are_no_classes_are_refused(
    tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    with archive_of_files(tmp_path, files) as archive:
        with pytest.raises(ViewfinderError, match=message):
            recognise(archive)


def test_class_folders_whose_files_count_alike_are_no_masks(tmp_path: Path) -> None:
    layouts: list[dict[str, Any]] = [
        {"{with_mask,without}/{1,2}.png": PHOTO, "{with_mask,without}/3.jpg": PHOTO},
        {"a/{1,3}.png": PHOTO, "a/2.jpg": PHOTO, "b/{1,3}.jpg": PHOTO, "b/2.png": PHOTO},
        {
            "{test_images/Audi,train_images/Ford GT}/{1,2}.png": PHOTO,
            "train_images/Audi/3.png": PHOTO,
        },
    ]
    for number, files in enumerate(layouts):
        with archive_of_files(tmp_path / str(number), files) as archive:
            assert recognise(archive).reader.endswith("read_class_folders")


def archive_of(folder: Path, make: Callable[[Path], None]) -> Archive:
    made, packed = folder / "made", folder / "packed"
    made.mkdir(parents=True)
    packed.mkdir()
    make(made)
    pack_folder(made, packed / "data.zip")
    write_checksums(packed)
    return Archive(packed)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which nothing ran, beside a user's folder of photos that was added to it."""
    folder = tmp_path_factory.mktemp("user")
    checkout = make_clone(folder / "viewfinder")
    class_folders(folder / "own")
    done = runner(checkout)("viewfinder", "add", "own", "../own")
    assert "images       20" in done.stdout
    assert "classes      2: cat, dog" in done.stdout
    return checkout


@pytest.fixture
def run(checkout: Path) -> Run:
    return runner(checkout)


def repro(run: Run, *targets: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", run("dvc", "repro", *targets).stdout))


def test_params_keep_their_comments_and_gain_an_experiment(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text()
    params = yaml.safe_load(text)
    assert params["datasets"]["own"] == {"watch": str(checkout.parent / "own")}
    assert params["experiments"]["own"] == {
        "experiment": "classification",
        "dataset": "own",
        "image": {"size": [32, 32]},
        "trainer": {"max_epochs": 20},
    }
    assert {"digits", "single_digits", "digit_scenes"} < params["datasets"].keys()


def test_a_changed_photo_reruns_only_its_data_set(checkout: Path, run: Run) -> None:
    targets = ("split@own", "split@digits")
    assert {"download@own", "split@own"} <= repro(run, *targets)
    assert repro(run, *targets) == set()
    picture(checkout.parent / "own" / "photos" / "cat" / "new.png", 77)
    assert repro(run, *targets) == {"download@own", "split@own"}
    report = json.loads((checkout / "data" / "splits" / "own" / "report.json").read_text())
    assert sum(part["images"] for part in report["splits"].values()) == 21


def test_the_added_experiment_trains(run: Run, call: Call, checkout: Path) -> None:
    run("dvc", "repro", "split@own")
    call(checkout, "configure", "own")
    words = ("--config-dir", "configs", "--config-name", "own", "trainer.max_epochs=1")
    call(checkout, "train", *words)
    assert (checkout / "models" / "own").is_dir()


@pytest.mark.parametrize(
    ("make", "task", "section"),
    [
        (
            large_photos,
            "classification",
            {"model": "timm_classifier", "overrides": ["model.name=resnet18"]},
        ),
        (voc_beside, "localization", {}),
        (table_of_several, "multilabel", {}),
    ],
)
def test_an_experiment_of_any_task_composes(
    checkout: Path, run: Run, make: Callable[[Path], None], task: str, section: dict[str, Any]
) -> None:
    name = f"{make.__name__}_{task}"
    make(checkout.parent / name)
    done = run("viewfinder", "add", name, f"../{name}", "--task", task)
    assert f"an experiment for {task}" in done.stdout
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    assert section.items() <= params["experiments"][name].items()
    run("viewfinder", "configure", name)
    config = yaml.safe_load((checkout / "configs" / f"{name}.yaml").read_text())
    assert config["task"]["name"] == task
    assert config["dataset"]["num_classes"] >= 1
    single = config["dataset"]["split"].get("single_object", False)
    assert single == (task == "localization")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("own", "../own"), "already"),
        (("detection", "../own"), "'detection' under 'experiments' already"),
        (("Pets!", "../own"), "lower-case"),
        (("more", "../own", "--task", "detection"), "it can serve classification"),
        (("more", "../nothing"), "nothing"),
    ],
)
def test_what_cannot_be_added_changes_nothing(
    checkout: Path, run: Run, words: tuple[str, ...], message: str
) -> None:
    before = (checkout / "params.yaml").read_text()
    done = run("viewfinder", "add", *words, status=1)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (checkout / "params.yaml").read_text() == before
    for name in ("more", "detection"):
        assert not (checkout / "conf" / "dataset" / f"{name}.yaml").exists()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As much of a checkout as `viewfinder add` needs."""
    folder = tmp_path / "checkout"
    for part in ("dataset", "experiment"):
        (folder / "conf" / part).mkdir(parents=True)
    (folder / "conf" / "experiment" / "classification.yaml").touch()
    text = "datasets:\n  x: {watch: src}\nexperiments:\n  x: {dataset: x}\n"
    (folder / "params.yaml").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def test_a_folder_in_the_checkout_is_named_from_there(project: Path) -> None:
    class_folders(project / "own", each=2)
    assert main(["add", "own", "own/photos"]) == 0
    config = yaml.safe_load((project / "conf" / "dataset" / "own.yaml").read_text())
    assert config["source"]["files"] == [{"url": "own/photos"}]
    params = yaml.safe_load((project / "params.yaml").read_text())
    assert params["datasets"]["own"] == {"watch": "own/photos"}
    assert main(["download", "own"]) == 0


@pytest.mark.parametrize("name", ["2024", "on", "no", "null", "y_", "true"])
def test_a_name_that_yaml_takes_for_something_else_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    class_folders(project / "own", each=2)
    assert main(["add", name, "own/photos"]) == (0 if name == "y_" else 1)
    assert ("can't be a data set's name" in capsys.readouterr().err) == (name != "y_")


def test_what_is_wrong_with_the_files_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(project / "own", each=2)
    photos = project / "own" / "photos"
    (photos / "cat" / "text.jpg").write_text("no picture")
    (photos / "dog" / "empty.jpg").touch()
    (photos / "dog" / "photo.heic").touch()
    (photos / "dog" / "photo").touch()
    assert main(["add", "own", "own"]) == 0
    said = capsys.readouterr().out
    assert "3 samples can't be used" in said
    assert "photos/dog/photo.heic: its format is not read" in said
    assert "photos/cat/text.jpg: it is not a readable image (10 bytes)" in said
    assert "photos/dog/empty.jpg: it is not a readable image (0 bytes)" in said
    assert "on_error: skip" in said
    assert "not taken    1 files beside the images: without suffix 1" in said


def test_what_was_fetched_to_be_looked_at_is_not_fetched_again(
    project: Path, tmp_path: Path
) -> None:
    class_folders(tmp_path / "own", each=2)
    pack_folder(tmp_path / "own", tmp_path / "own.zip")
    server = fsspec.filesystem("memory")
    server.pipe({"/shelf/own.zip": (tmp_path / "own.zip").read_bytes()})
    assert main(["add", "own", "memory://shelf/own.zip"]) == 0
    server.rm("/shelf/own.zip")
    assert main(["download", "own"]) == 0
    with Archive(project / "data" / "raw" / "own") as archive:
        assert len(archive.names()) == 4
    assert not list((project / ".cache" / "viewfinder" / "added").iterdir())


def test_a_path_that_configs_take_for_a_reference_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(project / "of ${x}", each=2)
    assert main(["add", "own", "of ${x}"]) == 1
    said = capsys.readouterr().err
    assert "'- url: of ${x}'" in said
    assert "Rename the folder" in said
    assert not (project / "conf" / "dataset" / "own.yaml").exists()


def gzipped_mnist(folder: Path) -> None:
    mnist(folder)
    for file in list(folder.iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


def pets_in_archives(folder: Path) -> None:
    pets(folder)
    for part in ("images", "annotations"):
        shutil.make_archive(str(folder / part), "gztar", folder, part)
        shutil.rmtree(folder / part)
    (folder / "SHA256SUMS").write_text("of the authors")


@pytest.mark.parametrize(("make", "found"), [(gzipped_mnist, "idx"), (pets_in_archives, "Pet")])
def test_a_folder_of_archives_is_taken_as_they_are(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    found: str,
) -> None:
    make(project / "own")
    assert main(["add", "own", "own"]) == 0
    assert found in capsys.readouterr().out
    assert main(["download", "own"]) == 0
    with Archive(project / "data" / "raw" / "own") as archive:
        assert not [name for name in archive.names() if name.endswith(".gz")]


def test_an_archive_beside_folders_is_not_opened(project: Path) -> None:
    class_folders(project / "own", each=2)
    pack_folder(project / "own", project / "own" / "copy.zip")
    assert main(["add", "own", "own"]) == 0
    assert main(["download", "own"]) == 0
    with Archive(project / "data" / "raw" / "own") as archive:
        assert "copy.zip" in archive.names()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("fake.zip", b"<html>", ["own/fake.zip is not a zip archive"]),
        ("cut.tar.gz", gzip.compress(b"x" * 99)[:20], ["own/cut.tar.gz is damaged"]),
        ("x.7z", b"7z", ["own/x.7z has a format that can't be read"]),
        ("a.csv", b"a,b", ["own/a.csv holds 1 files (.csv 1) in no format"]),
    ],
)
def test_what_is_refused_is_named_as_it_was_given(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, words: list[str]
) -> None:
    (project / "own").mkdir()
    (project / "own" / name).write_bytes(content)
    for source in (f"own/{name}", "own"):
        assert main(["add", "own", source]) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert ".cache" not in said
        assert "dvc repro" not in said
        if source != "own":
            assert all(word in said for word in words), said


def test_a_path_that_leads_nowhere_counts_from_where_one_is(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", "own", "photos"]) == 1
    said = capsys.readouterr().err
    assert "photos does not exist" in said
    assert f"counts from {project}." in said


def test_a_split_without_training_images_is_made_anew(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_of(["cat", "dog"] * 6, "label")(project / "own")
    listing = project / "own" / "list.csv"
    first, *rows = listing.read_text().splitlines()
    listing.write_text("\n".join([f"{first},split", *(f"{row},test" for row in rows)]))
    assert main(["add", "own", "own"]) == 0
    assert "test 12; nothing to train on" in capsys.readouterr().out
    config = yaml.safe_load((project / "conf" / "dataset" / "own.yaml").read_text())
    assert config["split"]["_target_"].endswith(".stratified_split")
    assert {"val", "test", "seed"} <= config["split"].keys()


def test_boxes_without_one_box_serve_no_task(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(project / "own" / "0.png", 0)
    coco_json(project / "own" / "a.json", ["0.png"])
    document = json.loads((project / "own" / "a.json").read_text())
    (project / "own" / "a.json").write_text(json.dumps({**document, "annotations": []}))
    assert main(["add", "own", "own"]) == 1
    assert "own holds nothing that a task can learn from" in capsys.readouterr().err
