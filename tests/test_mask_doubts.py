"""Regions of masks: the surest mistakes, and annotations that may be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_predictions import SIZE, Row, made, masks, report, suspected, table
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.analysis.section import failures

NAMES = ["sky", "road", "car"]
SKY, ROAD, CAR = range(3)
Window = tuple[slice, slice]
PATCH = (slice(44, 56), slice(8, 20))  # in the road
OTHER = (slice(40, 48), slice(40, 60))
THIN = (slice(44, 45), slice(0, SIZE))
EDGE = (slice(SIZE - 2, SIZE), slice(0, SIZE))  # thinner than the disk, on the image's border
INK = 128


class Scene:
    """One image: sky above road, on which every second image has a car."""

    def __init__(self, number: int) -> None:
        self.true = np.zeros((SIZE, SIZE), np.int64)
        self.true[SIZE // 2 :] = ROAD
        if number % 2:
            self.true[20:36, 44:60] = CAR
        self.found = self.true.copy()
        self.percent = np.full(self.true.shape, 97)

    def annotate(self, where: Window, label: int) -> Scene:
        """Annotate some pixels as something else."""
        self.true[where] = label
        return self

    def predict(self, where: Window, label: int, percent: int) -> Scene:
        """Predict a class for some pixels with a probability."""
        self.found[where], self.percent[where] = label, percent
        return self

    def row(self) -> Row:
        return masks(self.true, self.found, self.percent)


def rows(changed: dict[int, Scene], count: int = 20) -> list[Row]:
    return [changed.get(number, Scene(number)).row() for number in range(count)]


def mislabelled(where: Window = PATCH, number: int = 4) -> Scene:
    """A scene with road that is annotated as a car, of which the model is sure."""
    return Scene(number).annotate(where, CAR).predict(where, ROAD, 99)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on twenty scenes: a wrong label, and four other things that may look like one."""
    changed = {
        4: mislabelled(),
        7: Scene(7).predict(PATCH, SKY, 60),
        9: Scene(9).predict(THIN, SKY, 99).predict(EDGE, SKY, 99),
        11: Scene(11).annotate(PATCH, IGNORE).predict(PATCH, CAR, 99),
        12: Scene(12).predict(OTHER, CAR, 80).predict((slice(0, 6), slice(0, 6)), ROAD, 55),
    }
    return report(made(tmp_path_factory.mktemp("street"), "segmentation", NAMES, rows(changed)))


def drawn(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_wrong_label_that_the_model_is_sure_of_is_suspected_alone(street: Path) -> None:
    (found,) = table(street, "suspected_labels")
    # The corners of the square are lost with what would be a blurred outline.
    assert list(found.values()) == [
        *("004.png", "car", "road", "0.01"),
        *("140", "8", "44", "20", "56"),
    ]
    picture = drawn(street / "plots" / "suspected_labels.png")
    assert picture.std() > 5
    header = picture[:60] < INK  # title and key
    assert header[:, 24:].any()
    assert not header[:, -12:].any(), "the key is cut off"


def test_the_surest_wrong_region_of_each_image_is_told_surest_first(street: Path) -> None:
    found = [list(row.values())[:4] for row in table(street, "confident_mistakes")]
    assert found == [
        ["004.png", "car", "road", "0.99"],
        ["012.png", "road", "car", "0.8"],
        ["007.png", "road", "sky", "0.6"],
    ]
    assert drawn(street / "plots" / "confident_mistakes.png").std() > 5


def test_the_page_shows_both(street: Path) -> None:
    parts = {part.title: part for part in failures(street)}
    assert parts["The most confident mistakes"].picture is not None
    suspects = parts["Labels that may be wrong"]
    assert suspects.picture is not None
    assert [name for name, _ in suspects.columns] == ["id", "given", "suggested", "quality", "area"]


def test_among_equally_unlikely_labels_the_largest_comes_first(tmp_path: Path) -> None:
    larger = Scene(6).annotate(OTHER, SKY).predict(OTHER, ROAD, 99)
    changed = {2: mislabelled(PATCH, 2), 6: larger}
    folder = report(made(tmp_path, "segmentation", NAMES, rows(changed)))
    for name in ("suspected_labels", "confident_mistakes"):
        assert [(row["id"], row["area"]) for row in table(folder, name)] == [
            ("006.png", "156"),
            ("002.png", "140"),
        ]


def test_nothing_wrong_leaves_empty_tables_and_no_pictures(tmp_path: Path) -> None:
    folder = report(made(tmp_path, "segmentation", [*NAMES, "fish"], rows({})))
    for name in ("suspected_labels", "confident_mistakes"):
        assert table(folder, name) == []
        assert not (folder / "plots" / f"{name}.png").exists()


def test_a_mistake_that_the_model_often_makes_is_no_label_error(tmp_path: Path) -> None:
    """It misses a third of all cars, but nearly all of what it calls road is road."""
    often = {number: mislabelled(PATCH, number) for number in range(0, 20, 2)}
    file = made(tmp_path, "segmentation", NAMES, rows(often))
    assert suspected(file) == []


def test_what_the_model_is_less_sure_of_than_usual_is_not_suspected(tmp_path: Path) -> None:
    """Even where such predictions are nearly always right."""
    edge = (slice(58, SIZE), slice(0, SIZE))
    unsure = {number: Scene(number).predict(edge, ROAD, 60) for number in range(20)}
    unsure[4].annotate(PATCH, CAR).predict(PATCH, ROAD, 60)
    file = made(tmp_path, "segmentation", NAMES, rows(unsure))
    assert suspected(file) == []


def test_a_class_that_is_told_too_often_raises_no_suspicion(tmp_path: Path) -> None:
    """It takes little of the sky and the road for cars, but more than there are cars."""
    small = (slice(4, 12), slice(4, 12)), (slice(40, 48), slice(4, 12))
    invented = {
        number: Scene(number).predict(small[0], CAR, 97).predict(small[1], CAR, 97)
        for number in range(20)
    }
    file = made(tmp_path, "segmentation", NAMES, rows(invented))
    assert suspected(file) == []


def test_a_class_that_one_image_alone_shows_is_not_suspected(tmp_path: Path) -> None:
    """Nobody can tell whether the model knows it."""
    fish = Scene(3).annotate(PATCH, 3).predict(PATCH, ROAD, 97)
    file = made(tmp_path, "segmentation", [*NAMES, "fish"], rows({3: fish}))
    assert suspected(file) == []


def test_a_model_that_learned_nothing_suspects_nothing(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    wild = []
    for number in range(12):
        scene = Scene(number)
        blocks = generator.integers(0, 3, (4, 4))
        scene.found = np.kron(blocks, np.ones((16, 16), np.int64))
        scene.percent = generator.integers(34, 100, scene.found.shape)
        wild.append(scene.row())
    file = made(tmp_path, "segmentation", NAMES, wild)
    assert suspected(file) == []


@pytest.mark.parametrize("names", [["road"], ["background", "road"]])
def test_one_class_suspects_nothing(names: list[str], tmp_path: Path) -> None:
    everywhere = np.full((SIZE, SIZE), len(names) - 1)
    row = masks(everywhere, everywhere, np.full((SIZE, SIZE), 90))
    assert suspected(made(tmp_path, "segmentation", names, [row] * 3)) == []
