"""Where a model fails: what is planted in made-up predictions has to come out."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_predictions import Row, made, objects, report, sliced, suspected, table
from PIL import Image

from viewfinder.evaluation.analysis.class_frequency import by_frequency
from viewfinder.evaluation.analysis.object_mistakes import object_mistakes
from viewfinder.evaluation.analysis.section import even, failures
from viewfinder.evaluation.predictions.rows import encode_map

NAMES = ["cat", "dog", "bird"]
BOX, OTHER, FAR = (4, 4, 24, 24), (30, 30, 50, 60), (40, 2, 60, 14)


def sure(label: int, confidence: float = 0.9, classes: int = 3) -> list[float]:
    """Probabilities in favour of a class."""
    shares = np.full(classes, (1 - confidence) / (classes - 1))
    shares[label] = confidence
    return shares.tolist()


def classified(*pairs: tuple[int, int, float], **others: Any) -> list[Row]:
    """Rows of true class, predicted class and its probability."""
    return [
        {"label": true, "probabilities": sure(found, share), **others}
        for true, found, share in pairs
    ]


def right(count: int, **others: Any) -> list[Row]:
    return [row for n in range(count) for row in classified((n % 3, n % 3, 0.95), **others)]


def drawn(path: Path) -> bool:
    with Image.open(path) as picture:
        return float(np.asarray(picture.convert("RGB")).std()) > 5


# --- reports, each written once -------------------------------------------------------------------


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety images told right, and five mistakes of which the model is more or less sure."""
    rows = right(90) + classified((0, 1, 0.6), (0, 1, 0.8), (2, 0, 0.99), (0, 1, 0.5), (1, 2, 0.4))
    return report(made(tmp_path_factory.mktemp("animals"), "classification", NAMES, rows))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several classes."""
    told = [
        ([1, 0, 0], [0, 1, 0]),  # a dog in place of a cat
        ([1, 0, 1], [0, 1, 1]),  # likewise, beside a bird that was found
        ([1, 0, 1], [0, 1, 0]),  # two missed, one invented: nobody knows which for which
        ([0, 0, 1], [0, 1, 1]),  # invented only
    ]
    rows = [
        {
            "labels": [bool(x) for x in true],
            "present": [bool(x) for x in found],
            "probabilities": [0.7 if x else 0.1 for x in found],
        }
        for true, found in told
    ]
    return report(made(tmp_path_factory.mktemp("several"), "multilabel", NAMES, rows, [0.5] * 3))


def scenes() -> list[Row]:
    """Ten good images; a missed bird, a dog for a cat, an unsure detection, an invented dog."""
    good = [objects([(0, BOX), (1, OTHER)], [(0, 0.9, BOX), (1, 0.8, OTHER)]) for _ in range(10)]
    return [
        *good,
        objects([(2, OTHER), (0, BOX)], [(0, 0.9, BOX)]),
        objects([(0, BOX)], [(1, 0.7, BOX)]),
        objects([(1, BOX)], [(1, 0.3, BOX)]),
        objects([(1, BOX)], [(1, 0.6, BOX), (1, 0.95, FAR)]),
    ]


@pytest.fixture(scope="module")
def detections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on the scenes."""
    return report(made(tmp_path_factory.mktemp("detections"), "detection", NAMES, scenes()))


# --- confused pairs and confident mistakes --------------------------------------------------------


def test_confused_pairs_are_counted_most_frequent_first(animals: Path) -> None:
    assert [tuple(row.values()) for row in table(animals, "confused_pairs")] == [
        ("cat", "dog", "3", "0.09091"),
        ("dog", "bird", "1", "0.03226"),
        ("bird", "cat", "1", "0.03226"),
    ]


def test_the_surest_mistake_comes_first(animals: Path) -> None:
    found = table(animals, "confident_mistakes")
    assert [row["id"] for row in found] == [f"{n:03d}.png" for n in (92, 91, 90, 93, 94)]
    assert tuple(found[0].values()) == ("092.png", "bird", "cat", "0.99")
    assert drawn(animals / "plots" / "confident_mistakes.png")


def test_a_class_is_told_in_place_of_another_only_where_it_is_one_for_one(several: Path) -> None:
    assert [tuple(row.values())[:3] for row in table(several, "confused_pairs")] == [
        ("cat", "dog", "2")
    ]


def test_a_class_missed_or_invented_is_a_mistake_of_several(several: Path) -> None:
    found = table(several, "confident_mistakes")
    # Missed at 10 % is a surer mistake than invented at 70 %.
    assert [(row["truth"], row["predicted"]) for row in found] == [
        ("cat", "no cat"),
        ("cat", "no cat"),
        ("cat", "no cat"),
        ("no dog", "dog"),
    ]
    assert found[-1]["probability"] == "0.7"


def test_without_mistakes_there_are_no_pictures_of_them(tmp_path: Path) -> None:
    folder = report(made(tmp_path, "classification", NAMES, right(12)))
    for name in ("confused_pairs", "confident_mistakes", "suspected_labels"):
        assert table(folder, name) == []
        assert not (folder / "plots" / f"{name}.png").exists()
    assert failures(folder) == []


# --- missed and invented objects ------------------------------------------------------------------


def test_missed_objects_are_told_largest_first(detections: Path) -> None:
    assert [tuple(row.values()) for row in table(detections, "missed")] == [
        ("010.png", "bird", "600.0", "no detection"),
        ("011.png", "cat", "400.0", "taken for dog"),
        ("012.png", "dog", "400.0", "no detection"),
    ]
    assert drawn(detections / "plots" / "missed.png")


def test_invented_objects_are_told_surest_first(detections: Path) -> None:
    assert [tuple(row.values()) for row in table(detections, "invented")] == [
        ("013.png", "dog", "0.95", "nothing is there"),
        ("011.png", "dog", "0.7", "wrong class"),
    ]
    assert drawn(detections / "plots" / "invented.png")
    assert [tuple(row.values()) for row in table(detections, "confused_pairs")] == [
        ("cat", "dog", "1", "0.08333")
    ]


def test_a_detector_tells_from_its_own_thresholds(tmp_path: Path) -> None:
    file = made(tmp_path, "detection", NAMES, scenes(), [0.5, 0.2, 0.5])
    assert [item.row for item in object_mistakes(file).missed()] == [10, 11]


# --- slices ---------------------------------------------------------------------------------------


def of_kind(rows: list[dict[str, str]], kind: str) -> dict[str, dict[str, str]]:
    return {row["slice"].split(" (")[0]: row for row in rows if row["kind"] == kind}


def values(rows: dict[str, dict[str, str]]) -> dict[str, float]:
    return {name: float(row["value"]) for name, row in rows.items()}


def test_a_weakness_in_the_dark_shows(tmp_path: Path) -> None:
    rows = right(40, brightness=0.5) + right(40, brightness=0.8) + right(20, brightness=0.1)
    wrong = [(n % 3, (n + 1) % 3, 0.6) for n in range(20)]
    rows += classified(*wrong, brightness=0.1)
    found = sliced(made(tmp_path, "classification", NAMES, rows), resamples=200)
    parts = of_kind(found, "brightness")
    assert {row["images"] for row in parts.values()} == {"40"}
    assert values(parts) == {"dark": 0.5, "medium": 1.0, "bright": 1.0}
    half = 1.96 * (0.5 * 0.5 / 40) ** 0.5
    assert float(parts["dark"]["low"]) == pytest.approx(0.5 - half, abs=0.05)
    assert float(parts["dark"]["high"]) == pytest.approx(0.5 + half, abs=0.05)
    assert values(of_kind(found, "all")) == {"all test images": pytest.approx(100 / 120, abs=1e-5)}


@pytest.mark.parametrize("brightness", [[0.0] * 30, [0.0] * 25 + [0.5] * 5, [0.5, 0.5001] * 15])
def test_images_that_are_too_much_alike_are_not_divided(
    tmp_path: Path, brightness: list[float]
) -> None:
    rows = [{**row, "brightness": value} for row, value in zip(right(30), brightness, strict=True)]
    found = sliced(made(tmp_path, "classification", NAMES, rows), resamples=5)
    assert of_kind(found, "brightness") == {}


def test_slices_are_drawn_where_there_are_any(tmp_path: Path) -> None:
    rows = [{**row, "brightness": n / 30} for n, row in enumerate(right(30))]
    folder = report(made(tmp_path, "classification", NAMES, rows))
    assert drawn(folder / "plots" / "slices.png")
    (part,) = failures(folder)
    assert (part.title, len(part.rows)) == ("By slice", 4)


def test_rare_classes_stand_apart(tmp_path: Path) -> None:
    rows = right(60) + classified((1, 0, 0.6), (1, 0, 0.6), (1, 2, 0.6), (0, 1, 0.6))
    found = sliced(made(tmp_path, "classification", NAMES, rows), [500, 7, 40])
    parts = of_kind(found, "class frequency")
    assert parts["rare"]["slice"] == "rare (7 training images)"
    expected = {"rare": 20 / 23, "medium": 1, "frequent": 20 / 21}
    assert values(parts) == pytest.approx(expected, abs=1e-5)


def test_rare_objects_have_their_own_average_precision(tmp_path: Path, detections: Path) -> None:
    found = sliced(made(tmp_path, "detection", NAMES, scenes()), [100, 100, 5])
    parts = values(of_kind(found, "class frequency"))
    by_class = {row["class"]: float(row["ap"]) for row in table(detections, "per_class")}
    assert parts["rare"] == by_class["bird"] == 0
    assert parts["frequent"] == pytest.approx(by_class["dog"], abs=1e-5)


def test_classes_about_equally_frequent_are_not_divided() -> None:
    assert by_frequency(np.array([50, 99, 70]), NAMES) == {}
    assert len(by_frequency(np.array([50, 100, 70]), NAMES)) == 3
    assert list(by_frequency(np.array([9, 5, 50]), ["background", "a", "b"]).values()) == [[1], [2]]


def test_a_slice_without_a_value_says_why(detections: Path) -> None:
    found = of_kind(table(detections, "slices"), "object size")
    assert float(found["small"]["value"]) > 0.5
    assert (found["large"]["value"], found["large"]["low"]) == ("", "")
    assert found["large"]["reason"] == "no large object in any image"
    assert not any("nan" in row.values() for row in table(detections, "slices"))


def test_classes_that_no_mask_shows_have_no_value(tmp_path: Path) -> None:
    mask = torch.zeros(4, 4, dtype=torch.int64)
    mask[:2] = 1
    row = {"mask": encode_map(mask), "predicted_mask": encode_map(mask)}
    file = made(tmp_path, "segmentation", ["background", *NAMES], [row] * 4)
    found = of_kind(sliced(file, [100, 90, 40, 5]), "class frequency")
    assert {name: row["value"] for name, row in found.items()} == {
        "rare": "",
        "medium": "",
        "frequent": "1.0",
    }
    assert found["rare"]["reason"] == "no test image shows any of these classes"


def test_the_worst_groups_come_first_and_small_ones_not_at_all(tmp_path: Path) -> None:
    rows = right(12, group="good") + right(9, group="small") + right(5)
    rows += right(9, group="bad") + classified(*[(0, 1, 0.6)] * 3, group="bad")
    found = of_kind(sliced(made(tmp_path, "classification", NAMES, rows)), "group")
    assert list(values(found).items()) == [("bad", 0.75), ("good", 1.0)]
    assert float(found["bad"]["low"]) < 0.75 < float(found["bad"]["high"])


def test_small_boxes_of_single_objects_stand_apart(tmp_path: Path) -> None:
    rows: list[Row] = []
    for number in range(30):
        box = [0.0, 0.0, 8.0 + number, 8.0 + number]
        said = [40.0, 40.0, 60.0, 60.0] if number < 5 else box
        rows += classified((number % 3, number % 3, 0.9), box=box, predicted_box=said)
    found = sliced(made(tmp_path, "localization", NAMES, rows))
    joint = of_kind([row for row in found if row["metric"] == "joint_accuracy"], "object size")
    assert values(joint) == {"small": 0.5, "medium": 1.0, "large": 1.0}
    assert {row["images"] for row in joint.values()} == {"10"}


# --- suspected labels -----------------------------------------------------------------------------


def test_planted_label_errors_of_images_are_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = right(90)
    for number in (4, 40, 71):
        rows[number]["label"] = (number + 1) % 3
    rows += classified((0, 1, 0.4))  # a mistake that the model is not sure of
    for row in rows:
        row["probabilities"] = [*row["probabilities"], 0.0]  # no image shows a fish
    assert sorted(suspected(made(tmp_path, "classification", [*NAMES, "fish"], rows))) == [
        ("004.png", "bird", "dog"),
        ("040.png", "bird", "dog"),
        ("071.png", "cat", "bird"),
    ]
    assert capfd.readouterr() == ("", "")
    assert not multiprocessing.active_children()


def test_planted_label_errors_of_several_classes_are_found(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    present = generator.random((80, 3)) < 0.5
    shares = np.where(present, 0.95, 0.05) + generator.normal(0, 0.01, (80, 3))
    given = present.copy()
    given[7, 1] ^= True
    shares[7, 1] = 0.99 if present[7, 1] else 0.01
    told = zip(given.tolist(), present.tolist(), shares.tolist(), strict=True)
    rows = [{"labels": one, "present": two, "probabilities": three} for one, two, three in told]
    said = ("dog", "no dog") if given[7, 1] else ("no dog", "dog")
    assert suspected(made(tmp_path, "multilabel", NAMES, rows, [0.5] * 3)) == [("007.png", *said)]


def mislabelled(rows: list[Row]) -> list[Row]:
    """Plant a dog that is called a cat, and a bird that is left out."""
    rows[5]["labels"] = [0, 2]
    for name in ("boxes", "labels", "crowd"):
        del rows[20][name][1]
    return rows


def test_planted_label_errors_of_objects_are_found(tmp_path: Path) -> None:
    rows = [
        objects([(n % 2, BOX), (2, OTHER)], [(n % 2, 0.9, BOX), (2, 0.85, OTHER)])
        for n in range(60)
    ]
    folder = report(made(tmp_path, "detection", NAMES, mislabelled(rows)))
    found = {tuple(row.values())[:3] for row in table(folder, "suspected_labels")}
    assert found == {("005.png", "cat", "dog"), ("020.png", "nothing", "bird")}
    assert drawn(folder / "plots" / "suspected_labels.png")


def test_what_a_detector_is_not_sure_of_is_no_label_error(tmp_path: Path) -> None:
    rows = [objects([(0, BOX)], [(0, 0.9, BOX), (1, 0.8, FAR)][: 1 + n % 2]) for n in range(40)]
    assert suspected(made(tmp_path, "detection", NAMES, rows)) == []


@pytest.mark.parametrize(
    "rows",
    [
        [objects([], []) for _ in range(5)],
        [objects([(0, BOX)], []) for _ in range(5)],
        [objects([], [(0, 0.9, BOX)]) for _ in range(5)],
        [objects([(0, BOX)], [(0, 0.9, BOX)])],
    ],
    ids=["nothing", "nothing found", "nothing true", "one image"],
)
def test_detectors_without_objects_or_detections_suspect_nothing(
    rows: list[Row], tmp_path: Path
) -> None:
    file = made(tmp_path, "detection", NAMES, rows)
    assert suspected(file) == []
    assert of_kind(sliced(file), "all")


def test_one_class_only_suspects_nothing(tmp_path: Path) -> None:
    rows = classified((0, 0, 0.9), (0, 1, 0.9), (0, 0, 0.8))
    assert suspected(made(tmp_path, "classification", NAMES, rows)) == []


# --- the page -------------------------------------------------------------------------------------


def test_the_page_shows_the_top_of_the_tables(animals: Path) -> None:
    parts = {part.title: part for part in failures(animals)}
    assert "By slice" not in parts  # all images are equally bright
    assert parts["Confused pairs"].rows[0][:3] == ["cat", "dog", "3"]
    assert parts["The most confident mistakes"].picture is not None
    names = [name for name, _ in parts["Labels that may be wrong"].columns]
    assert names == ["id", "given", "suggested", "quality"]


def test_fractions_have_the_same_digits() -> None:
    written = ["0.5", "1.0", "3e-05", "12", "", "2.5 cats"]
    assert [even(text) for text in written] == ["0.5000", "1.0000", "0.0000", "12", "", "2.5 cats"]
