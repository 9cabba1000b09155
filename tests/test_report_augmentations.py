"""The data report's pictures of the same training images under each augmentation."""

import base64
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Scheme, check_page
from conftest import REPOSITORY
from numpy.typing import NDArray
from split_project import NAME, STRATIFIED, encode, make_project, output, pets, picture, report

from viewfinder.cli import main
from viewfinder.data.report.samples import read_sample
from viewfinder.data.schema import SPLITS
from viewfinder.data.splits.pixels import decode

READERS = "viewfinder.data.readers."
BATCHES = "viewfinder.data.loading.batch_augmentation."
SHIPPED = {path.stem: path.read_text() for path in (REPOSITORY / "conf" / "augment").glob("*.yaml")}
OWN = {
    "own_mirror": "flip: {_target_: albumentations.HorizontalFlip, p: 1.0}\n",
    "own_mirror_of_batches": f"flip: {{_target_: {BATCHES}Flip, p: 1.0}}\n",
}
COUNT = 12


def square(left: int, value: int) -> bytes:
    """Return a mask with one square."""
    mask = np.zeros((48, 48), np.uint8)
    mask[8:24, left : left + 16] = value
    return encode(mask)


@dataclass
class Kind:
    """A data set of one kind of annotation."""

    reader: dict[str, Any] = field(default_factory=dict)
    members: Callable[[], dict[str, bytes]] = lambda: pets(COUNT)
    drawn: bool = True


def masks() -> dict[str, bytes]:
    return {f"i/{n}.png": encode(picture(n)) for n in range(COUNT)} | {
        f"m/{n}.png": square(2 * n, 1) for n in range(COUNT)
    }


def instances() -> dict[str, bytes]:
    return {f"{n}/images/{n}.png": encode(picture(n)) for n in range(COUNT)} | {
        f"{n}/masks/{left}.png": square(left, 255) for n in range(COUNT) for left in (1, 25)
    }


def tags() -> dict[str, bytes]:
    rows = [f"{n}.png,{('cat', 'dog', 'cat|dog', '')[n % 4]}" for n in range(COUNT)]
    return {f"{n}.png": encode(picture(n)) for n in range(COUNT)} | {
        "list.csv": "\n".join(["image,label", *rows]).encode()
    }


KINDS = {
    "classification": Kind(drawn=False),
    "multilabel": Kind(
        {"_target_": f"{READERS}table.read_table", "tables": "list.csv", "separator": "|"},
        tags,
        drawn=False,
    ),
    "detection": Kind({"_target_": "readers_for_tests.read_boxes"}),
    "segmentation": Kind(
        {
            "_target_": f"{READERS}index_masks.read_mask_folders",
            "classes": ["road", "sky"],
            "images": "i",
            "masks": "m",
        },
        masks,
    ),
    "instances": Kind(
        {"_target_": f"{READERS}instance_masks.read_instance_folders", "class_name": "square"},
        instances,
    ),
}


def write_options(project: Path, options: Mapping[str, str]) -> None:
    folder = project / "conf" / "augment"
    folder.mkdir(exist_ok=True)
    for name, content in options.items():
        (folder / f"{name}.yaml").write_text(content)


def page(project: Path) -> str:
    return (output(project) / "report.html").read_text("utf-8")


def shown(project: Path) -> dict[str, list[NDArray[np.int64]]]:
    """Return the pictures of each column, by its name."""
    columns = re.findall(r"<section>\s*<h3>(.*?)</h3>(.*?)</section>", page(project), re.DOTALL)
    return {
        html.unescape(name): [
            decode(base64.b64decode(data)).astype(int)
            for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", pictures)
        ]
        for name, pictures in columns
    }


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with boxes that is not divided yet, and all augmentations of the repository."""
    make_project(tmp_path, pets(COUNT), STRATIFIED, **KINDS["detection"].reader)
    write_options(tmp_path, SHIPPED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_shows_training_images_under_every_option(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = KINDS[kind]
    make_project(tmp_path, chosen.members(), STRATIFIED, **chosen.reader)
    write_options(tmp_path, SHIPPED | OWN)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 0
    assert "augment" not in capsys.readouterr().err
    columns = shown(tmp_path)
    assert list(columns) == ["as it is", *sorted({*SHIPPED, *OWN} - {"none"})]
    assert {len(pictures) for pictures in columns.values()} == {4}
    pairs = zip(columns["as it is"], columns["own_mirror"], strict=True)
    assert all(np.abs(plain[:, ::-1] - other).mean() < 8 for plain, other in pairs)
    pairs = zip(columns["own_mirror"], columns["own_mirror_of_batches"], strict=True)
    drawn = [np.abs(one - other).max() > 50 for one, other in pairs]
    assert drawn == [chosen.drawn] * 4  # what augments whole batches has no annotations
    assert ("own_mirror_of_batches, shift_flip" in page(tmp_path)) == chosen.drawn


def test_the_page_says_where_an_option_comes_from_and_how_to_see_more(boxes: Path) -> None:
    assert main(["split", NAME]) == 0
    assert "conf/augment/affine.yaml" in page(boxes)
    assert f"viewfinder data {NAME} --augment affine</code>" in page(boxes)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (700, "light"), (390, "dark")])
def test_a_browser_shows_the_page_whole(boxes: Path, width: int, scheme: Scheme) -> None:
    assert main(["split", NAME]) == 0
    check_page(output(boxes) / "report.html", width=width, scheme=scheme)


def test_augmentations_change_the_page_alone_and_always_alike(boxes: Path) -> None:
    def content() -> dict[str, bytes]:
        files = (path for path in output(boxes).rglob("*") if path.is_file())
        return {str(path.relative_to(output(boxes))): path.read_bytes() for path in files}

    assert main(["split", NAME]) == 0
    first = content()
    assert main(["split", NAME]) == 0
    assert content() == first
    write_options(boxes, OWN)
    assert main(["split", NAME]) == 0
    changed = content()
    assert changed.keys() == first.keys()
    assert [name for name in first if first[name] != changed[name]] == ["report.html"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("defaults:\n  - swirl\n", ["swirl"]),
        ("flip: [1, 2\nflop: {", ["line 2"]),
        ("- flip\n", ["DictConfig"]),
        ("5\n", ["can't be composed", "int"]),
        ("defaults:\n  - broken\n", ["defaults name itself"]),
        ("flip: {_target_: albumentations.HorizontalFlip, p: '${x'}\n", ["can't be composed", "x"]),
        ("flip: albumentations.HorizontalFlip\n", ["'flip' is no mapping", "_target_"]),
        ("flip: {_target_: builtins.object}\n", ["object is no transform"]),
        ("flip: {_target_: albumentations.Flop}\n", ["albumentations.Flop"]),
        ("flip: {_target_: albumentations.Affine, rotate: [10]}\n", ["Affine", "rotate"]),
        ("flip: {p: 0.5}\n", ["'p': 0.5", "no transform", "_target_"]),
        (
            "pad: {_target_: albumentations.RandomCrop, height: 50, width: 9, p: 1}\n",
            ["can't be applied", "48 x 48", "(50, 9)"],
        ),
        (
            "grey: {_target_: albumentations.ToGray, num_output_channels: 1, p: 1}\n",
            ["can't be applied", "[48, 48", "height, width, 3"],
        ),
        (
            "scale: {_target_: albumentations.Normalize, p: 1}\n",
            ["can't be applied", "float32", "uint8"],
        ),
        (
            "flip: {_target_: albumentations.HorizontalFlip, p: '${optimizer.lr}'}\n",
            ["optimizer.lr", "image.size"],
        ),
    ],
)
def test_an_option_that_is_wrong_is_named_and_stops_nothing(
    boxes: Path, capsys: pytest.CaptureFixture[str], content: str, words: list[str]
) -> None:
    write_options(boxes, {"broken": content})
    assert main(["split", NAME]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "broken" in line]
    assert len(said) == 1
    assert said[0].startswith(f"{NAME}: warning: conf/augment/broken.yaml is not on the page: ")
    assert all(word in said[0] for word in words), said[0]
    assert str(boxes) not in said[0]
    assert said[0].removeprefix(f"{NAME}: warning: ") in html.unescape(page(boxes))
    assert sorted({*SHIPPED} - {"none"}) == list(shown(boxes))[1:]
    assert not any("broken" in warning for warning in report(boxes)["warnings"])
    assert main(["data", NAME, "--augment", "broken"]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert "Traceback" not in error


def test_an_option_may_have_any_name_and_others_are_no_options(boxes: Path) -> None:
    write_options(boxes, {"as it is": OWN["own_mirror"], ".hidden": OWN["own_mirror"]})
    (boxes / "conf" / "augment" / "folder.yaml").mkdir()
    assert main(["split", NAME]) == 0
    names = re.findall(r"<section>\s*<h3>(.*?)</h3>", page(boxes))
    assert names == ["as it is", *sorted({*SHIPPED, "as it is"} - {"none"})]


def test_very_long_images_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    members = {
        f"{name}/{n}.png": encode(generator.integers(0, 255, (2, 2000, 3)).astype(np.uint8))
        for n, name in enumerate("aabbcc")
    }
    parts = {"method": "slices", "train": "[:4]", "val": "[4:5]", "test": "[5:]"}
    make_project(tmp_path, members, parts)
    write_options(tmp_path, SHIPPED)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 0
    assert list(shown(tmp_path))[1:] == sorted({*SHIPPED} - {"none"})


def test_a_single_tiny_training_image_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{name}/{n}.png": encode(picture(n, 8)) for n, name in enumerate("abc")}
    parts = {"method": "slices", "train": "[:1]", "val": "[1:2]", "test": "[2:]"}
    make_project(tmp_path, members, parts)
    write_options(tmp_path, SHIPPED)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 0
    assert {len(pictures) for pictures in shown(tmp_path).values()} == {1}
    assert len(shown(tmp_path)) == len(SHIPPED)


def test_more_instance_masks_than_memory_should_hold_are_left_out() -> None:
    side, count = 4096, 9
    objects = [{"bbox": [0, 0, 9, 9], "category": 0, "rle": b"0P"} for _ in range(count)]
    row = {"image": {"bytes": encode(np.zeros((side, side), np.uint8))}, "objects": objects}
    sample = read_sample(row)
    assert sample.instances is None
    assert len(sample.boxes) == count


def test_without_options_the_page_has_no_such_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, pets(COUNT), STRATIFIED)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 0
    assert "augmentation" not in page(tmp_path)
    assert set(SPLITS) < {path.name for path in output(tmp_path).iterdir()}
