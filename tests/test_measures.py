"""Metrics against independent implementations, intervals, and figures that are not defined."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.special import softmax
from sklearn import metrics as reference

from viewfinder.evaluation.intervals import figures, resampled_weights
from viewfinder.evaluation.measures.boundaries import boundary_counts, boundary_f1
from viewfinder.evaluation.measures.error_types import error_costs
from viewfinder.evaluation.measures.image_classes import ImageClasses, LocatedClasses
from viewfinder.evaluation.measures.objects import Objects
from viewfinder.evaluation.measures.packed import pack
from viewfinder.evaluation.measures.pixel_classes import PixelClasses
from viewfinder.evaluation.measures.present_classes import PresentClasses
from viewfinder.tasks.matching import ImageObjects, match

NAMES = ["cat", "dog", "bird"]


def ones(count: int) -> NDArray[np.float64]:
    return np.ones(count)


def classified(
    images: int = 200, classes: int = 7, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and probabilities that are right about half of the time."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    return labels, softmax(logits, axis=1).astype(np.float32)


# --- against scikit-learn -------------------------------------------------------------------------


def averages(labels: NDArray[np.int64], found: NDArray[np.int64]) -> dict[str, float]:
    """Weighted averages as scikit-learn prints them below its table of classes."""
    told = reference.classification_report(labels, found, output_dict=True, zero_division=0)
    figures = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    return {f"weighted_{ours}": told["weighted avg"][theirs] for ours, theirs in figures.items()}


def test_classification_equals_scikit_learn() -> None:
    labels, probabilities = classified()
    found, exact = probabilities.argmax(axis=1), probabilities.astype(float)
    measure = ImageClasses(labels, probabilities, list("abcdefg"))
    expected = {
        "accuracy": reference.accuracy_score(labels, found),
        "macro_f1": reference.f1_score(labels, found, average="macro"),
        "macro_precision": reference.precision_score(labels, found, average="macro"),
        "macro_recall": reference.recall_score(labels, found, average="macro"),
        "log_loss": reference.log_loss(labels, exact / exact.sum(axis=1, keepdims=True)),
        **averages(labels, found),
        "top_5_accuracy": reference.top_k_accuracy_score(labels, probabilities, k=5),
    }
    assert measure.headline(ones(200)) | measure.others() == pytest.approx(expected, abs=1e-6)


def test_weighted_averages_of_classes_of_which_some_are_nowhere_equal_scikit_learn() -> None:
    labels, probabilities = classified(images=30)
    kept = (labels < 3) & (probabilities.argmax(axis=1) != 2)  # the third is never named
    labels, probabilities = labels[kept], probabilities[kept]
    found = ImageClasses(labels, probabilities, list("abcdefg")).others()
    expected = averages(labels, probabilities.argmax(axis=1))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_two_classes_equal_scikit_learn() -> None:
    labels, probabilities = classified(classes=2)
    probabilities = probabilities.round(1)  # so that some are equal
    measure = ImageClasses(labels, probabilities, ["no", "yes"])
    weights = np.random.default_rng(5).integers(0, 3, 200).astype(float)
    weighted = {"sample_weight": weights}
    found = measure.headline(weights)
    expected = {
        "accuracy": reference.accuracy_score(labels, probabilities.argmax(axis=1), **weighted),
        "f1": reference.f1_score(labels, probabilities.argmax(axis=1), **weighted),
        "roc_auc": reference.roc_auc_score(labels, probabilities[:, 1], **weighted),
        "average_precision": reference.average_precision_score(
            labels, probabilities[:, 1], **weighted
        ),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_several_classes_an_image_equal_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    labels = generator.random((150, 4)) < 0.4
    probabilities = np.clip(labels * 0.3 + generator.random((150, 4)) * 0.7, 0, 1)
    told = probabilities >= 0.5
    measure = PresentClasses(pack(labels), probabilities, pack(told), list("abcd"), [0.5] * 4)
    assert measure.headline(ones(150)) == pytest.approx(
        {
            "macro_average_precision": reference.average_precision_score(labels, probabilities),
            "macro_f1": reference.f1_score(labels, told, average="macro"),
            "micro_f1": reference.f1_score(labels, told, average="micro"),
        },
        abs=1e-6,
    )


def test_segmentation_equals_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    pairs = []
    for _ in range(6):
        true = generator.integers(0, 4, (20, 30)).astype(np.uint8)
        found = np.where(generator.random(true.shape) < 0.7, true, (true + 1) % 4)
        true[:2] = 255
        pairs.append((true, found.astype(np.uint8)))
    measure = PixelClasses(pairs, ["background", *NAMES])
    true = np.concatenate([pair[0].ravel() for pair in pairs])
    found = np.concatenate([pair[1].ravel() for pair in pairs])[true != 255]
    true = true[true != 255]
    solid = {"labels": [1, 2, 3], "average": "macro"}
    expected = {
        "mean_iou": reference.jaccard_score(true, found, **solid),
        "mean_dice": reference.f1_score(true, found, **solid),
        "pixel_accuracy": reference.accuracy_score(true, found),
    }
    got = measure.headline(ones(6))
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_many_classes_take_memory_by_the_class_not_by_the_pair() -> None:
    classes, images = 120, 40
    generator = np.random.default_rng(6)
    maps = generator.integers(0, classes, (images, 2, 4, 4)).astype(np.uint8)
    tracemalloc.start()
    measure = PixelClasses(
        ((true, found) for true, found in maps), [str(n) for n in range(classes)]
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert measure.confusion().sum() == images * 4 * 4
    assert peak < images * classes**2 * 8 / 2


# --- against pycocotools --------------------------------------------------------------------------


@dataclass
class Scene:
    """Boxes as left, top, width and height, in pixels."""

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    found: NDArray[np.float64]
    found_labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    def objects(self) -> ImageObjects:
        overlaps = np.zeros((len(self.found), len(self.boxes)))
        if overlaps.size:
            overlaps = mask.iou(self.found, self.boxes, self.crowd.astype(np.uint8))
        return ImageObjects(
            labels=self.labels,
            crowd=self.crowd,
            areas=self.boxes[:, 2] * self.boxes[:, 3],
            found_labels=self.found_labels,
            scores=self.scores,
            found_areas=self.found[:, 2] * self.found[:, 3],
            overlaps=overlaps,
        )


def draw(generator: np.random.Generator) -> Scene:
    """Objects, some of them crowds, and detections near, misplaced, mistaken, doubled, invented."""
    count = int(generator.integers(0, 9))
    corners, sizes = generator.uniform(0, 120, (count, 2)), generator.uniform(8, 120, (count, 2))
    boxes = np.concatenate([corners, sizes], axis=1)
    labels = generator.integers(0, len(NAMES), count)
    near = boxes + generator.normal(0, 4, boxes.shape)
    mistaken = np.where(generator.random(count) < 0.2, (labels + 1) % len(NAMES), labels)
    half = count // 2
    found = np.concatenate([near, near[:half] + 2, generator.uniform(8, 90, (3, 4))]).clip(1)
    found_labels = [mistaken, labels[:half], generator.integers(0, len(NAMES), 3)]
    return Scene(
        boxes=boxes,
        labels=labels,
        crowd=generator.random(count) < 0.15,
        found=found,
        found_labels=np.concatenate(found_labels),
        scores=generator.random(len(found)).round(2),  # rounded, so that some are equal
    )


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    generator = np.random.default_rng(3)
    return [draw(generator) for _ in range(40)]


def coco_figures(scenes: list[Scene]) -> list[float]:
    """Return the twelve figures of pycocotools."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(1, len(scenes) + 1)],
        "categories": [{"id": label} for label in range(len(NAMES))],
        "annotations": [
            {
                "image_id": number,
                "category_id": int(label),
                "bbox": box.tolist(),
                "area": float(box[2] * box[3]),
                "iscrowd": int(crowd),
            }
            for number, scene in enumerate(scenes, 1)
            for box, label, crowd in zip(scene.boxes, scene.labels, scene.crowd, strict=True)
        ],
    }
    for number, annotation in enumerate(truth.dataset["annotations"], 1):
        annotation["id"] = number
    truth.createIndex()
    found = [
        {"image_id": number, "category_id": int(label), "bbox": box.tolist(), "score": float(score)}
        for number, scene in enumerate(scenes, 1)
        for box, label, score in zip(scene.found, scene.found_labels, scene.scores, strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)


def test_detection_equals_pycocotools(scenes: list[Scene]) -> None:
    measure = Objects([scene.objects() for scene in scenes], NAMES)
    got = measure.headline(ones(len(scenes))) | measure.others()
    names = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large"]
    names += ["mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"]
    assert 0.1 < got["map"] < 0.9
    assert [got[name] for name in names] == pytest.approx(coco_figures(scenes), abs=1e-6)


def test_an_image_that_counts_twice_counts_as_two(scenes: list[Scene]) -> None:
    generator = np.random.default_rng(4)
    weights = generator.integers(0, 3, len(scenes))
    # Twins of an image would mix their detections of equal score.
    scenes = [replace(scene, scores=generator.random(len(scene.scores))) for scene in scenes]
    repeated = [scene for scene, times in zip(scenes, weights, strict=True) for _ in range(times)]
    measure = Objects([scene.objects() for scene in scenes], NAMES)
    whole = Objects([scene.objects() for scene in repeated], NAMES)
    weighted = measure.headline(weights.astype(float))
    assert weighted == pytest.approx(whole.headline(ones(len(repeated))), abs=1e-9)


# --- kinds of mistakes ---------------------------------------------------------------------------


def one_object(**detection: Any) -> ImageObjects:
    """Two objects of classes 0 and 1 that are far apart, and one detection."""
    boxes = np.array([[10.0, 10, 40, 40], [150, 150, 40, 40]])
    found = np.array([detection.get("box", [10.0, 10, 40, 40])])
    scene = Scene(
        boxes=boxes,
        labels=np.array([0, 1]),
        crowd=np.zeros(2, np.bool_),
        found=np.concatenate([found, boxes[1:]]),
        found_labels=np.array([detection.get("label", 0), 1]),
        scores=np.array([0.9, 0.8]),
    )
    return scene.objects()


@pytest.mark.parametrize(
    ("kind", "detection", "cost"),
    [
        # Class 1 loses half to the better score; class 0 has one object, found or not.
        ("class", {"label": 1}, 0.75),
        ("box", {"box": [30.0, 10, 40, 40]}, 0.5),
        ("both", {"box": [30.0, 10, 40, 40], "label": 2}, 0.0),
        ("background", {"box": [80.0, 80, 20, 20]}, 0.0),
        ("duplicate", {"box": [149.0, 150, 40, 40], "label": 1}, 0.0),
    ],
)
def test_a_mistake_is_recognised_and_its_mending_pays(
    kind: str, detection: Any, cost: float
) -> None:
    costs = error_costs([one_object(**detection)], len(NAMES))
    counts = {name: found.count for name, found in costs.items() if found.count}
    near = kind in ("class", "box")
    assert counts == ({kind: 1} if near else {kind: 1, "missed": 1})
    assert costs[kind].cost == pytest.approx(cost)  # type: ignore[index]
    if not near:
        assert costs["missed"].cost == pytest.approx(0.5)


def test_a_right_detection_is_no_mistake() -> None:
    costs = error_costs([one_object()], len(NAMES))
    assert {(found.count, found.cost) for found in costs.values()} == {(0, 0.0)}


def test_all_mistakes_of_a_scene_are_counted_once(scenes: list[Scene]) -> None:
    images = [scene.objects() for scene in scenes]
    costs = error_costs(images, len(NAMES))
    wrong = sum(costs[kind].count for kind in costs if kind != "missed")
    every = [match(image, label, (0, 1e10)) for image in images for label in range(len(NAMES))]
    assert wrong == sum(int((~found.hits[0]).sum()) for found in every)
    assert all(found.cost >= -1e-9 for found in costs.values())


# --- intervals ------------------------------------------------------------------------------------


def test_an_accuracy_has_the_interval_of_a_share() -> None:
    labels = np.zeros(400, np.int64)
    probabilities = np.eye(2, dtype=np.float32)[(np.arange(400) % 5 == 0).astype(int)]
    found = figures(ImageClasses(labels, probabilities, ["no", "yes"]), np.arange(400), 2000)
    accuracy = found["accuracy"]
    half = 1.96 * (0.8 * 0.2 / 400) ** 0.5
    assert accuracy.value == pytest.approx(0.8)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.006)


def test_images_of_one_group_are_no_independent_evidence() -> None:
    labels, probabilities = classified()
    labels, probabilities = np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0)
    measure = ImageClasses(labels, probabilities, list("abcdefg"))
    alone = figures(measure, np.arange(800), 300)["accuracy"]
    grouped = figures(measure, np.repeat(np.arange(200), 4), 300)["accuracy"]
    assert alone.value == grouped.value
    assert _width(grouped) / _width(alone) == pytest.approx(2, rel=0.15)


def test_a_group_is_drawn_whole() -> None:
    groups = np.array([0, 1, 1, 2, 0])
    generator = np.random.default_rng(0)
    for _ in range(20):
        weights = resampled_weights(groups, generator)
        assert weights[0] == weights[4]
        assert weights[1] == weights[2]
        assert weights[0] + weights[1] + weights[3] == 3


def _width(figure: Any) -> float:
    return float(figure.high - figure.low)


# --- what is not defined --------------------------------------------------------------------------


def test_figures_that_are_not_defined_say_why(scenes: list[Scene]) -> None:
    empty = Scene(*(getattr(scenes[0], name)[:0] for name in Scene.__annotations__))
    found = figures(Objects([empty.objects()] * 3, NAMES), np.arange(3), 10)
    assert {figure.value for figure in found.values()} == {None}
    assert found["map"].reason == "no object in any image"
    assert found["map_large"].reason == "no large object in any image"
    labels, probabilities = classified(classes=2)
    one = figures(ImageClasses(labels * 0, probabilities, ["no", "yes"]), np.arange(200), 10)
    assert (one["roc_auc"].value, one["roc_auc"].reason) == (None, "the images show one class only")
    assert one["accuracy"].value is not None


def test_masks_without_any_object_are_not_perfect() -> None:
    """Resamples that draw no lesion say nothing of how lesions are found."""
    empty = np.zeros((4, 4), np.uint8)
    lesion, half = empty.copy(), empty.copy()
    lesion[:2], half[:1] = 1, 1
    nothing = figures(PixelClasses([(empty, empty)] * 3, ["background", "lesion"]), np.arange(3), 9)
    for name in ("mean_iou", "mean_dice"):
        assert (nothing[name].value, nothing[name].reason) == (None, "no class is shown or told")
    assert nothing["pixel_accuracy"].value == 1.0
    pairs = [(empty, empty)] * 60 + [(lesion, half)] * 2
    few = figures(PixelClasses(pairs, ["background", "lesion"]), np.arange(62), 100)
    assert (few["mean_iou"].value, few["mean_iou"].low, few["mean_iou"].high) == (0.5, 0.5, 0.5)


def test_one_image_has_no_interval() -> None:
    labels, probabilities = classified(images=1)
    found = figures(ImageClasses(labels, probabilities, list("abcdefg")), np.zeros(1, np.int64), 10)
    assert found["accuracy"].value is not None
    assert found["accuracy"].low is None


# --- boxes and outlines ---------------------------------------------------------------------------


def test_localization_wants_class_and_box() -> None:
    probabilities = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    overlaps = np.array([0.9, 0.4, 0.5, 0.2])
    measure = LocatedClasses(np.array([0, 0, 0, 1]), probabilities, ["no", "yes"], overlaps)
    found = measure.headline(ones(4))
    assert (found["accuracy"], found["mean_iou"]) == pytest.approx((0.75, 0.5))
    assert (found["iou_50"], found["joint_accuracy"]) == (0.5, 0.25)


def test_outlines_are_met_within_a_tolerance() -> None:
    true = np.zeros((100, 100), np.uint8)
    true[30:70, 30:70] = 1
    scores = []
    for shift in (0, 1, 3, 20):
        counts = boundary_counts(true, np.roll(true, shift, axis=1), 2).astype(float)
        scores.append(boundary_f1(counts)[1])
    assert scores[0] == scores[1] == 1.0  # one pixel of a diagonal of 141
    assert 0.4 < scores[2] < 0.7  # the upper and lower edges still lie on each other
    assert scores[3] < 0.4
    assert np.isnan(boundary_f1(boundary_counts(true * 0, true * 0, 2).astype(float))).all()
