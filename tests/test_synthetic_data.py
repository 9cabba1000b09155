"""The data sets that are made on the spot: what they hold, and that they never change."""

import json
import zipfile
from collections import Counter
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.schema import SPLITS
from viewfinder.data.sources.digit_scenes import (
    SceneStyle,
    draw_scene,
    glyph_pools,
    write_digit_scenes,
)
from viewfinder.data.sources.digits import CLASSES, load_glyphs, write_digits
from viewfinder.errors import ViewfinderError

STYLE = SceneStyle()
COUNTS = {"train": 6, "val": 3, "test": 4}


def write_scenes(folder: Path, seed: int = 1) -> Path:
    folder.mkdir()
    write_digit_scenes(
        folder, seed=seed, counts=COUNTS, size=96, digits=(1, 4), digit_size=(20, 32)
    )
    return folder / "scenes.zip"


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the pixels that are set."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_digits_archive_holds_each_digit_in_the_folder_of_its_class(tmp_path: Path) -> None:
    write_digits(tmp_path)
    glyphs, labels = load_glyphs()
    with zipfile.ZipFile(tmp_path / "digits.zip") as archive:
        names = archive.namelist()
        assert len(names) == len(set(names)) == 1797
        folders = Counter(name.split("/")[1] for name in names)
        assert folders == {
            f"{label}_{name}": int((labels == label).sum()) for label, name in enumerate(CLASSES)
        }
        for index in (0, 900, 1796):
            content = np.frombuffer(archive.read(names[index]), np.uint8)
            image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(image, glyphs[index])
            assert names[index].split("/")[1].startswith(f"{labels[index]}_")


def test_digits_archive_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_digits(tmp_path / name)
    first, second = (tmp_path / name / "digits.zip" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("seed", [0, 42, 43])
def test_glyph_pools_share_no_digit_and_leave_none_out(seed: int) -> None:
    pools = glyph_pools(seed)
    everything = np.concatenate([pools[split] for split in SPLITS])
    np.testing.assert_array_equal(np.sort(everything), np.arange(1797))
    _, labels = load_glyphs()
    for split in SPLITS:
        assert set(labels[pools[split]]) == set(range(10))


def test_glyph_pools_depend_on_the_seed() -> None:
    assert set(glyph_pools(1)["train"].tolist()) != set(glyph_pools(2)["train"].tolist())


def test_a_scene_is_a_function_of_seed_split_and_index() -> None:
    first = draw_scene(7, "train", 3, STYLE)
    draw_scene(7, "train", 4, STYLE)
    again = draw_scene(7, "train", 3, STYLE)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert first.labels == again.labels
    for other in ((8, "train", 3), (7, "val", 3), (7, "train", 4)):
        assert not np.array_equal(first.image, draw_scene(*other, STYLE).image), other


def test_scenes_hold_two_to_seven_digits_that_hardly_overlap() -> None:
    counts = Counter()
    for index in range(120):
        scene = draw_scene(42, "train", index, STYLE)
        counts[len(scene.labels)] += 1
        assert scene.masks.shape == (len(scene.labels), STYLE.size, STYLE.size)
        assert scene.masks.any(axis=(1, 2)).all()
        assert scene.masks.sum(axis=0).max() == 1, "a pixel belongs to two digits"
        boxes = [extent(mask) for mask in scene.masks]
        for a, b in combinations(boxes, 2):
            width = min(a[2], b[2]) - max(a[0], b[0])
            height = min(a[3], b[3]) - max(a[1], b[1])
            smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
            assert max(width, 0) * max(height, 0) <= 0.15 * smaller, (index, a, b)
    assert set(counts) == set(range(2, 8))


def test_coco_boxes_and_areas_fit_the_masks(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_scenes(tmp_path / "scenes")) as archive:
        names = set(archive.namelist())
        for split in SPLITS:
            document = json.loads(archive.read(f"annotations/{split}.json"))
            assert [item["name"] for item in document["categories"]] == list(CLASSES)
            assert len(document["images"]) == COUNTS[split]
            assert {f"{split}/{item['file_name']}" for item in document["images"]} <= names
            images = {item["id"] for item in document["images"]}
            assert {item["image_id"] for item in document["annotations"]} == images
            identifiers = [item["id"] for item in document["annotations"]]
            assert len(set(identifiers)) == len(identifiers)
            for item in document["annotations"]:
                mask = coco_mask.decode(item["segmentation"])
                left, top, right, bottom = extent(mask)
                assert item["bbox"] == [left, top, right - left, bottom - top]
                assert item["area"] == mask.sum()


def test_annotated_classes_are_those_of_the_drawn_scene(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_scenes(tmp_path / "scenes")) as archive:
        document = json.loads(archive.read("annotations/val.json"))
    for index in range(COUNTS["val"]):
        scene = draw_scene(1, "val", index, SceneStyle(96, (1, 4), (20, 32)))
        found = [
            item["category_id"] - 1 for item in document["annotations"] if item["image_id"] == index
        ]
        assert found == scene.labels


def test_scene_archive_has_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    first = write_scenes(tmp_path / "a").read_bytes()
    assert write_scenes(tmp_path / "b").read_bytes() == first
    assert write_scenes(tmp_path / "c", seed=2).read_bytes() != first


@pytest.mark.parametrize(
    ("size", "digits", "digit_size"), [(64, (9, 12), (24, 44)), (32, (1, 1), (44, 60))]
)
def test_digits_that_do_not_fit_are_refused(
    size: int, digits: tuple[int, int], digit_size: tuple[int, int]
) -> None:
    with pytest.raises(ViewfinderError, match=f"{digits[0]} digits of up to {digit_size[1]}"):
        draw_scene(0, "train", 0, SceneStyle(size, digits, digit_size))
