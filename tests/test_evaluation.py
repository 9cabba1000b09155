"""Reports on networks whose predictions are chosen, over pictures of handwritten digits."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judged import judged, predicted, tabled
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import collate
from viewfinder.data.sources.digit_scenes import SceneStyle, draw_scene
from viewfinder.data.sources.digits import CLASSES, load_glyphs
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.curves import draw_curves
from viewfinder.evaluation.describe import describe_segmentation
from viewfinder.evaluation.selection import draw_galleries, even_positions
from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.tasks import (
    Classification,
    Detection,
    Localization,
    SemanticSegmentation,
    VisionTask,
)

COUNT = 22
BATCH = 5
NAMES = list(CLASSES)
NORMALISATION: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3}
MOST_TELLING = {
    "classification": "accuracy",
    "localization": "joint_accuracy",
    "detection": "map",
    "segmentation": "mean_iou",
}
TASKS = tuple(MOST_TELLING)
LOSSES: dict[type[VisionTask], dict[str, float]] = {
    Localization: {"cross_entropy": 1.0, "l1": 1.0},
    SemanticSegmentation: {"cross_entropy": 1.0},
}

Item = dict[str, Any]


class Answers(nn.Module):
    """A network that gives chosen raw outputs, batch by batch, whatever it is shown."""

    def __init__(self, answers: Sequence[Any]) -> None:
        super().__init__()
        self._answers: Iterator[Any] = iter(answers)

    def forward(self, images: Tensor) -> Any:
        return next(self._answers)

    def decode(self, outputs: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """Detectors decode by themselves."""
        return outputs

    def losses(self, outputs: Any, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
        """Detectors have losses of their own."""
        return {"missing": (outputs["scores"] == 0).float().mean()}


@dataclass
class Exam:
    """A task whose network knows its answers, and the questions."""

    task: VisionTask
    loader: DataLoader[Any]
    items: list[Item]


@dataclass
class Perfect:
    """A report that was written."""

    folder: Path
    metrics: dict[str, float]


def logits(labels: Tensor, confidence: float = 9.0) -> Tensor:
    """Logits in favour of labels [...], classes in the second dimension."""
    hot = nn.functional.one_hot(labels, 11 if labels.ndim == 3 else 10).float()
    return confidence * hot.movedim(-1, 1)


def digit_items() -> list[Item]:
    images, labels = load_glyphs()
    return [
        {
            "id": f"digits/{index:04d}.png",
            "image": torch.from_numpy(images[index]).expand(3, 8, 8).clone(),
            "label": torch.tensor(int(labels[index])),
        }
        for index in range(COUNT)
    ]


def scene_items(size: int, digits: tuple[int, int]) -> list[Item]:
    items = []
    for index in range(COUNT):
        scene = draw_scene(0, "test", index, SceneStyle(size, digits, (24, 40)))
        mask = np.zeros((size, size), np.int64)
        boxes = []
        for label, visible in zip(scene.labels, scene.masks, strict=True):
            mask[visible] = label + 1
            rows, columns = np.nonzero(visible)
            boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        items.append(
            {
                "id": f"test/{index:05d}.jpg",
                "image": torch.from_numpy(scene.image[..., ::-1].copy()).permute(2, 0, 1),
                "boxes": torch.tensor(boxes, dtype=torch.float32),
                "labels": torch.tensor(scene.labels),
                "mask": torch.from_numpy(mask),
            }
        )
    return items


def take(items: list[Item], *names: str) -> list[Item]:
    return [{name: item[name] for name in ("id", "image", *names)} for item in items]


def batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + BATCH] for start in range(0, len(values), BATCH))


def exam(task: type[VisionTask], classes: list[str], answers: list[Any], items: list[Item]) -> Exam:
    loader: DataLoader[Any] = DataLoader(
        items,  # type: ignore[arg-type]
        batch_size=BATCH,
        collate_fn=collate,
    )
    given = {"losses": LOSSES[task]} if task in LOSSES else {}
    return Exam(task(Answers(answers), classes, **NORMALISATION, **given), loader, items)


def classification(shift: int = 0) -> Exam:
    """Every digit taken for the one ``shift`` later."""
    items = digit_items()
    labels = torch.stack([item["label"] for item in items])
    answers = [logits((part + shift) % 10) for part in labels.split(BATCH)]
    return exam(Classification, NAMES, answers, items)


def localization(offset: float = 0.0) -> Exam:
    """The right class, and the true box shifted to the right by pixels."""
    size = 64
    items = scene_items(size, (1, 1))
    for item in items:
        item |= {"label": item["labels"][0], "box": item["boxes"][0]}
    items = take(items, "label", "box")
    answers = []
    for part in batches(items):
        boxes = torch.stack([item["box"] for item in part]) + torch.tensor([offset, 0, offset, 0])
        centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        labels = torch.stack([item["label"] for item in part])
        answers.append(RawLocalization(logits(labels), torch.cat([centres, sides], dim=1) / size))
    return exam(Localization, NAMES, answers, items)


def detection(shift: int = 0, missing: int = 0) -> Exam:
    """Every box of the class ``shift`` later; ``missing`` of each image left out."""
    items = take(scene_items(128, (2, 5)), "boxes", "labels")
    answers = []
    for item in items:  # detectors are judged one image at a time
        boxes, scores = torch.zeros(1, 6, 4), torch.zeros(1, 6)
        labels = torch.zeros(1, 6, dtype=torch.int64)
        count = max(len(item["labels"]) - missing, 0)
        boxes[0, :count] = item["boxes"][:count]
        scores[0, :count] = torch.linspace(0.95, 0.6, count)
        labels[0, :count] = (item["labels"][:count] + shift) % 10
        answers.append({"boxes": boxes, "scores": scores, "labels": labels})
    return exam(Detection, NAMES, answers, items)


def segmentation(empty: bool = False) -> Exam:
    """The true class of each pixel, or background everywhere."""
    items = take(scene_items(128, (2, 5)), "mask")
    masks = torch.stack([item["mask"] for item in items])
    guesses = torch.zeros_like(masks) if empty else masks
    answers = [logits(part) for part in guesses.split(BATCH)]
    return exam(SemanticSegmentation, ["background", *NAMES], answers, items)


PERFECT = {
    "classification": classification,
    "localization": localization,
    "detection": detection,
    "segmentation": segmentation,
}


def report(made: Exam, folder: Path) -> dict[str, float]:
    return judged(made.task, made.loader, folder)


def tables(made: Exam, folder: Path) -> dict[str, float]:
    """As ``report``, without the galleries, which take longest."""
    return tabled(made.task, made.loader, folder)


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Perfect]:
    """The report on a perfect network for a task, written once."""

    @cache
    def reported(name: str) -> Perfect:
        folder = tmp_path_factory.mktemp(name) / "report"
        return Perfect(folder, report(PERFECT[name](), folder))

    return reported


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_network_gets_a_perfect_report(
    name: str, perfect: Callable[[str], Perfect]
) -> None:
    made = perfect(name)
    # With few objects an image, the recall at one detection is below 1; no loss is quite 0.
    bounded = {"mar_1", "log_loss", "calibration_error", "calibration_error_unscaled"}
    figures = {key: value for key, value in made.metrics.items() if key not in bounded}
    assert figures == pytest.approx(dict.fromkeys(figures, 1.0), abs=1e-4)
    expected = {
        "metrics.json",
        "predictions.parquet",
        "plots/predictions.png",
        "plots/worst.png",
        "plots/slices.png",
        "tables/per_class.csv",
        "tables/confused_pairs.csv",
        "tables/slices.csv",
        "tables/suspected_labels.csv",
    }
    if name == "detection":
        expected |= {"plots/errors.png", "plots/precision_recall.png"}
        expected |= {f"tables/{table}.csv" for table in ("errors", "missed", "invented")}
        expected.add("tables/operating_point.csv")
    else:
        expected.add("plots/confusion.png")
        expected.add("tables/confident_mistakes.csv")
    if name in {"classification", "localization"}:
        pictures = ("calibration", "precision_recall", "roc")
        expected.add("tables/confusion.csv")
        expected |= {*(f"plots/{picture}.png" for picture in pictures)}
    assert set(files(made.folder)) == expected


@pytest.mark.parametrize("name", TASKS)
def test_metrics_have_a_value_with_an_interval_or_a_reason(
    name: str, perfect: Callable[[str], Perfect]
) -> None:
    made = perfect(name)
    text = (made.folder / "metrics.json").read_text()
    written = json.loads(text)
    assert next(iter(written)) == MOST_TELLING[name]
    values = {key: figure["value"] for key, figure in written.items() if "reason" not in figure}
    assert values == pytest.approx(made.metrics, abs=1e-5)
    for figure in written.values():
        if "low" in figure:
            assert figure["low"] <= figure["value"] <= figure["high"]
        if "reason" in figure:
            assert figure["value"] is None
    assert text.endswith("}\n")


@pytest.mark.parametrize("name", TASKS)
def test_pictures_show_something_and_stay_small(
    name: str, perfect: Callable[[str], Perfect]
) -> None:
    for path in (perfect(name).folder / "plots").iterdir():
        assert path.stat().st_size < 1_500_000
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) >= (250 if path.name == "slices.png" else 400), path
        assert pixels.reshape(-1, 3).std(axis=0).min() > 5, path


@pytest.mark.parametrize("name", TASKS)
def test_two_reports_on_one_network_are_equal(
    name: str, perfect: Callable[[str], Perfect], tmp_path: Path
) -> None:
    report(PERFECT[name](), tmp_path)
    assert files(tmp_path) == files(perfect(name).folder)


def test_confusion_has_one_row_an_image_in_order(tmp_path: Path) -> None:
    made = classification(shift=1)
    metrics = tables(made, tmp_path)
    assert metrics["accuracy"] == 0.0
    labels = [int(item["label"]) for item in made.items]
    assert table(tmp_path / "tables" / "confusion.csv") == [
        {"actual": NAMES[label], "predicted": NAMES[(label + 1) % 10]} for label in labels
    ]


def test_per_class_of_classification_counts_and_scores(tmp_path: Path) -> None:
    items = digit_items()
    labels = torch.stack([item["label"] for item in items])
    guesses = labels.where(labels != 3, 5)
    made = exam(Classification, NAMES, [logits(part) for part in guesses.split(BATCH)], items)
    tables(made, tmp_path)
    rows = {row["class"]: row for row in table(tmp_path / "tables" / "per_class.csv")}
    assert list(rows) == NAMES
    threes, fives = int((labels == 3).sum()), int((labels == 5).sum())
    assert (rows["three"]["count"], rows["five"]["count"]) == (str(threes), str(fives))
    assert (float(rows["three"]["recall"]), float(rows["three"]["f1"])) == (0.0, 0.0)
    assert float(rows["five"]["recall"]) == 1.0
    assert float(rows["five"]["precision"]) == pytest.approx(fives / (fives + threes), abs=1e-5)
    assert float(rows["zero"]["f1"]) == 1.0


def test_localization_tells_class_from_box(tmp_path: Path) -> None:
    metrics = tables(localization(offset=100), tmp_path)
    assert metrics["accuracy"] == 1.0
    assert metrics["mean_iou"] == metrics["joint_accuracy"] == 0.0
    rows = table(tmp_path / "tables" / "per_class.csv")
    assert {float(row["mean_iou"]) for row in rows if row["count"] != "0"} == {0.0}
    assert sum(int(row["count"]) for row in rows) == COUNT
    assert {float(row["recall"]) for row in rows if row["count"] != "0"} == {1.0}


def test_per_class_of_detection(tmp_path: Path) -> None:
    right, wrong = detection(), detection(shift=1)
    tables(right, tmp_path / "perfect")
    tables(wrong, tmp_path / "wrong")
    counts = torch.bincount(torch.cat([item["labels"] for item in right.items]), minlength=10)
    for folder, value in (("perfect", 1.0), ("wrong", 0.0)):
        rows = table(tmp_path / folder / "tables" / "per_class.csv")
        assert [row["class"] for row in rows] == NAMES
        assert [int(row["count"]) for row in rows] == counts.tolist()
        for column in ("ap", "ap_50", "recall"):
            found = [float(row[column]) for row in rows if row["count"] != "0"]
            assert found == pytest.approx([value] * len(found), abs=1e-4)


def test_mean_of_the_classes_is_the_map(tmp_path: Path) -> None:
    metrics = tables(detection(missing=1), tmp_path)
    rows = [row for row in table(tmp_path / "tables" / "per_class.csv") if row["count"] != "0"]
    assert 0.1 < metrics["map"] < 0.95
    assert np.mean([float(row["ap"]) for row in rows]) == pytest.approx(metrics["map"], abs=1e-4)
    assert np.mean([float(row["ap_50"]) for row in rows]) == pytest.approx(
        metrics["map_50"], abs=1e-4
    )


def test_detection_without_any_detection_still_reports(tmp_path: Path) -> None:
    made = detection(missing=10)
    metrics = report(made, tmp_path)
    assert metrics["map"] == 0.0
    rows = table(tmp_path / "tables" / "per_class.csv")
    assert {row["ap"] for row in rows if row["count"] != "0"} == {"0.0"}


def test_per_class_of_segmentation(tmp_path: Path) -> None:
    made = segmentation(empty=True)
    metrics = tables(made, tmp_path)
    masks = torch.stack([item["mask"] for item in made.items])
    share = float((masks == 0).float().mean())
    assert metrics["mean_iou"] == 0.0
    rows = table(tmp_path / "tables" / "per_class.csv")
    assert [row["class"] for row in rows] == ["background", *NAMES]
    assert int(rows[0]["count"]) == int((masks == 0).sum())
    assert float(rows[0]["iou"]) == pytest.approx(share, abs=1e-5)
    assert {float(row["iou"]) for row in rows[1:]} == {0.0}


def test_a_class_that_is_nowhere_counts_nowhere(tmp_path: Path) -> None:
    """Of background, disk, ring and cross, the ring is neither drawn nor guessed."""
    mask = torch.zeros(3, 6, 6, dtype=torch.int64)
    mask[:, :3, :3], mask[:, 3:, 3:] = 1, 3
    items = [
        {"id": str(index), "image": torch.zeros(3, 6, 6, dtype=torch.uint8), "mask": mask[index]}
        for index in range(3)
    ]
    classes = ["background", "disk", "ring", "cross"]
    answers = [9.0 * nn.functional.one_hot(mask, 4).float().movedim(-1, 1)]
    made = exam(SemanticSegmentation, classes, answers, items)
    assert set(tables(made, tmp_path).values()) == {1.0}
    rows = {row["class"]: row for row in table(tmp_path / "tables" / "per_class.csv")}
    assert list(rows["ring"].values()) == ["ring", "0", "", "", "", "", ""]
    assert [rows[name]["iou"] for name in ("background", "disk", "cross")] == ["1.0"] * 3


def test_a_class_that_is_only_guessed_counts_as_wrong(tmp_path: Path) -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    mask[:, :2] = 1
    guess = mask.clone()
    guess[:, 0, 0] = 2
    items = [
        {"id": "a", "image": torch.zeros(3, 4, 4, dtype=torch.uint8), "mask": mask[0]},
    ]
    answers = [9.0 * nn.functional.one_hot(guess, 3).float().movedim(-1, 1)]
    made = exam(SemanticSegmentation, ["background", "disk", "ring"], answers, items)
    assert tables(made, tmp_path)["mean_iou"] == pytest.approx(7 / 8 / 2)
    assert table(tmp_path / "tables" / "per_class.csv")[2]["iou"] == "0.0"


@pytest.mark.parametrize(
    ("classes", "caption"),
    [(["background", "road"], "IoU 0.50"), (["sky", "road"], "pixel accuracy 0.75")],
)
def test_a_picture_of_pixels_says_what_its_figure_is(classes: list[str], caption: str) -> None:
    mask = torch.tensor([[[0, 0], [1, 1]]])
    guess = torch.tensor([[[0, 0], [0, 1]]])
    batch = {"id": ["a"], "image": torch.zeros(1, 3, 2, 2, dtype=torch.uint8), "mask": mask}
    (example,) = describe_segmentation({"classes": guess}, batch, classes)
    assert example.caption == caption


def test_an_image_with_nothing_in_it_and_nothing_found_is_right() -> None:
    metrics = segmentation().task.new_metrics()
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    metrics.update({"probabilities": logits(mask)}, {"mask": mask})
    assert metrics.compute() == {"mean_iou": 1.0, "pixel_accuracy": 1.0}


def test_ignored_pixels_count_nowhere(tmp_path: Path) -> None:
    """Digits are predicted where the truth says nothing."""
    made = segmentation()
    wrong = [
        logits(torch.zeros_like(torch.stack([i["mask"] for i in p]))) for p in batches(made.items)
    ]
    for item in made.items:
        item["mask"] = item["mask"].where(item["mask"] == 0, 255)
    made = exam(SemanticSegmentation, ["background", *NAMES], wrong, made.items)
    assert tables(made, tmp_path)["pixel_accuracy"] == 1.0
    rows = table(tmp_path / "tables" / "per_class.csv")
    assert [int(row["count"]) for row in rows[1:]] == [0] * 10


def test_the_worst_picture_shows_the_worst(tmp_path: Path) -> None:
    """Blanking an image that goes well changes predictions.png alone, a bad one worst.png too."""
    items = digit_items()
    labels = torch.stack([item["label"] for item in items])
    guesses = labels.clone()
    bad = torch.arange(1, 17)
    guesses[bad] = (guesses[bad] + 1) % 10
    answers = [logits(part) for part in guesses.split(BATCH)]

    def worst(blank: int | None) -> bytes:
        shown = [dict(item) for item in items]
        if blank is not None:
            shown[blank]["image"] = torch.zeros_like(shown[blank]["image"])
        made, folder = exam(Classification, NAMES, answers, shown), tmp_path / str(blank)
        found = predicted(made.task, made.loader, folder)
        draw_galleries(found, lambda rows: collate([shown[row] for row in rows]), folder)
        return (folder / "worst.png").read_bytes()

    untouched = worst(None)
    assert worst(0) == worst(20) == untouched
    assert worst(7) != untouched


def test_examples_are_spread_from_first_to_last() -> None:
    assert even_positions(100, 4) == [0, 33, 66, 99]
    assert even_positions(3, 16) == [0, 1, 2]
    assert len(set(even_positions(17, 16))) == 16


def test_a_split_of_one_image_has_a_report(tmp_path: Path) -> None:
    items = digit_items()[:1]
    made = exam(Classification, NAMES, [logits(items[0]["label"][None])], items)
    assert report(made, tmp_path)["accuracy"] == 1.0
    assert (tmp_path / "plots" / "predictions.png").stat().st_size > 1000


def test_class_names_may_hold_dollars_and_be_long(tmp_path: Path) -> None:
    made = classification(shift=1)
    made.task.classes = [
        "$x^",
        "a$b$",
        "é",
        "a class with quite a long name, as in ImageNet",
        *"456789",
    ]
    report(made, tmp_path)
    rows = table(tmp_path / "tables" / "confusion.csv")
    assert {row["actual"] for row in rows} == set(made.task.classes)


def test_images_larger_than_a_tile_are_shrunk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = [
        {
            "id": str(index),
            "image": torch.from_numpy(rng.integers(0, 256, (3, 300, 500), np.uint8)),
            "label": torch.tensor(index % 10),
        }
        for index in range(16)
    ]
    answers = [logits(torch.stack([i["label"] for i in part])) for part in batches(items)]
    report(exam(Classification, NAMES, answers, items), tmp_path)
    path = tmp_path / "plots" / "predictions.png"
    assert path.stat().st_size < 1_500_000
    with Image.open(path) as picture:
        assert picture.width < 1000


def test_a_report_replaces_the_last_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "stale.csv").touch()
    (tmp_path / "train.json").write_text("{}")
    report(classification(), tmp_path)
    assert not (tmp_path / "tables" / "stale.csv").exists()
    assert (tmp_path / "train.json").read_text() == "{}"


def test_a_failure_leaves_the_last_report_whole(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    report(classification(), folder)
    before = files(folder)
    made = classification()
    made.task.classes = [None] * 10  # type: ignore[list-item]
    with pytest.raises(TypeError):
        report(made, folder)
    made = classification()
    made.task.model = Answers([torch.full((BATCH, 10), float("nan"))])
    with pytest.raises(ViewfinderError, match=r"probabilities.*digits/0000\.png.*learning rate"):
        report(made, folder)
    assert files(folder) == before
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json",
        "plots",
        "predictions.parquet",
        "tables",
    }


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train/loss": 2.0 / (epoch + 1),
            "val/loss": 2.2 / (epoch + 1) + 0.02 * epoch,
            "val/loss_class": 1.0,
            "val/accuracy": 1 - 0.5 / (epoch + 1),
            "val/macro_f1": 0.98 - 0.5 / (epoch + 1),
            "lr": 0.1,
        }
        for epoch in range(epochs)
    ]


def test_curves_are_a_picture_that_follows_the_history(tmp_path: Path) -> None:
    def drawn(rows: list[dict[str, float]], **options: Any) -> bytes:
        draw_curves(rows, tmp_path / "curves.png", **options)
        return (tmp_path / "curves.png").read_bytes()

    whole = drawn(history(12), monitor="val/accuracy")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width >= 800
        assert np.asarray(picture.convert("L")).std() > 5
    assert whole == drawn(history(12), monitor="val/accuracy")
    assert whole != drawn(history(11), monitor="val/accuracy")
    assert whole != drawn(history(12), monitor="val/accuracy", mode="min")
    assert drawn(history(1), monitor="val/accuracy")


def test_curves_do_with_what_there_is(tmp_path: Path) -> None:
    rows = history(4)
    del rows[1]["val/accuracy"]
    rows[2]["train/loss"] = float("nan")
    draw_curves(rows, tmp_path / "gaps.png", monitor="val/accuracy")
    draw_curves([{"epoch": 0, "val/loss": 1.0}], tmp_path / "loss.png", monitor="val/loss")
    assert (tmp_path / "gaps.png").stat().st_size > (tmp_path / "loss.png").stat().st_size


def test_curves_without_history_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match="no epoch"):
        draw_curves([], tmp_path / "curves.png", monitor="val/loss")
    with pytest.raises(ViewfinderError, match=r"'val/map'.*val/accuracy"):
        draw_curves(history(2), tmp_path / "curves.png", monitor="val/map")
    assert not list(tmp_path.iterdir())
