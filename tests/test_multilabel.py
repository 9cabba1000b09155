"""Any number of classes an image: views, thresholds, metrics, report, export."""

import csv
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from judged import judged
from patches import CLASSES, make_task, patches, trainer, write_patches
from torch import Tensor

from viewfinder.data.loading.class_counts import class_counts
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.measures.packed import pack
from viewfinder.evaluation.measures.present_classes import PresentClasses
from viewfinder.export.certificate import certify
from viewfinder.export.graph import export_onnx
from viewfinder.export.predictor import OnnxPredictor
from viewfinder.tasks import Classification, MultilabelClassification
from viewfinder.tasks.multilabel import MultilabelMetrics, average_precisions, best_thresholds
from viewfinder.training.fit import fit

SIZE = (16, 16)


@pytest.fixture(scope="module", params=["labels", "objects"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_patches(tmp_path_factory.mktemp(request.param), request.param)
    return patches(folder, MultilabelClassification)


def present_by_eye(images: Tensor) -> Tensor:
    """Tell from the pixels which quadrants are bright."""
    quadrants = torch.nn.functional.adaptive_avg_pool2d(images.float().mean(dim=1), 2)
    return (quadrants.flatten(1) > 100).float()


def test_the_classes_present_become_the_targets(data: VisionDataModule) -> None:
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = next(iter(loader))
        assert batch["labels"].dtype == torch.float32
        assert torch.equal(batch["labels"], present_by_eye(batch["image"]))


def test_an_object_that_is_cropped_away_is_no_longer_there(tmp_path: Path) -> None:
    augmentations = {"crop": A.Crop(0, 0, 8, 16)}
    cropped: dict[str, Tensor] = {}
    for annotation in ("labels", "objects"):
        folder = write_patches(tmp_path / annotation, annotation, chances=[1.0] * 4)
        made = patches(folder, MultilabelClassification, augmentations=augmentations)
        cropped[annotation] = next(iter(made.train_dataloader()))["labels"][0]
    assert cropped["objects"].tolist() == [1, 0, 1, 0]
    assert cropped["labels"].tolist() == [1, 1, 1, 1]


def test_a_data_set_with_one_class_an_image_is_refused(tmp_path: Path) -> None:
    folder = write_patches(tmp_path, "label")
    with pytest.raises(ViewfinderError, match=r"lacks a list of classes.*serve: classification"):
        patches(folder, MultilabelClassification)
    folder = write_patches(tmp_path, "labels")
    with pytest.raises(ViewfinderError, match=r"It can serve: multilabel"):
        patches(folder, Classification)


def test_thresholds_part_the_classes_where_f1_is_largest() -> None:
    probabilities = torch.tensor(
        [[0.9, 0.4, 0.2], [0.8, 0.3, 0.2], [0.3, 0.2, 0.6], [0.1, 0.1, 0.6]]
    )
    labels = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert best_thresholds(probabilities, labels).tolist() == pytest.approx([0.55, 0.15, 0.5])
    # Equal probabilities can't be parted: all four or none.
    same = torch.full((4, 1), 0.7)
    assert float(best_thresholds(same, torch.tensor([[1], [0], [0], [0]]))) == pytest.approx(0.35)


def test_a_threshold_parts_neighbouring_numbers() -> None:
    low = torch.tensor(0.5)
    high = torch.nextafter(low, torch.tensor(1.0))
    probabilities = torch.stack([high, low])[:, None]
    threshold = best_thresholds(probabilities, torch.tensor([[1], [0]]))
    assert (probabilities >= threshold).flatten().tolist() == [True, False]


def test_no_threshold_is_better_than_the_one_found() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(60, 3, generator=generator)
    labels = (torch.rand(60, 3, generator=generator) < probabilities).int()

    def f1(thresholds: Tensor) -> Tensor:
        told = probabilities >= thresholds
        return 2 * (told & labels.bool()).sum(0) / (told.sum(0) + labels.sum(0))

    found = f1(best_thresholds(probabilities, labels))
    others = [f1(torch.full((3,), value)) for value in np.linspace(0, 1, 301)]
    assert (found >= torch.stack(others).amax(0) - 1e-6).all()


def test_average_precision_is_over_the_classes_that_occur() -> None:
    probabilities = torch.tensor([[0.9, 0.8, 0.9], [0.6, 0.7, 0.8], [0.2, 0.1, 0.7]])
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert average_precisions(probabilities, labels).tolist() == pytest.approx([1.0, 0.5, 0.0])
    metrics = MultilabelMetrics()
    present = probabilities >= 0.5
    batch = {"labels": labels.float()}
    metrics.update({"probabilities": probabilities, "present": present}, batch)
    assert metrics.compute()["macro_average_precision"] == pytest.approx(0.75)
    # One of two told rightly in each of two classes, and one class told wrongly twice or thrice.
    assert metrics.compute()["micro_f1"] == pytest.approx(2 * 2 / (7 + 2))


def test_validation_names_the_macro_f1_that_the_report_names() -> None:
    probabilities = torch.tensor([[0.9, 0.6, 0.1], [0.8, 0.3, 0.2], [0.7, 0.2, 0.3]])
    labels = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    present = probabilities >= 0.5
    metrics = MultilabelMetrics()
    metrics.update({"probabilities": probabilities, "present": present}, {"labels": labels})
    # The first class has an F1 of 0.8, the second is told in vain, the third is nowhere.
    assert metrics.compute()["macro_f1"] == pytest.approx((0.8 + 0.0) / 2)
    measure = PresentClasses(
        pack(labels.bool().numpy()),
        probabilities.numpy(),
        pack(present.numpy()),
        CLASSES[:3],
        [0.5] * 3,
    )
    reported = measure.headline(np.ones(3))
    assert metrics.compute() == pytest.approx(reported)


def test_it_trains_and_reports_where_one_class_occurs(tmp_path: Path) -> None:
    folder = write_patches(tmp_path, "labels", count=3, chances=[0.0, 0.5, 0.0])
    made = patches(folder, MultilabelClassification)
    task = make_task(MultilabelClassification, 3)
    result = fit(task, made, trainer(1), state=tmp_path / "state", resume_from=None, logger=None)
    assert 0 < result.score <= 1
    metrics = judged(task, made.test_dataloader(), tmp_path / "report")
    assert 0 < metrics["macro_average_precision"] <= 1
    with (tmp_path / "report" / "tables" / "per_class.csv").open() as file:
        counts = [int(row["count"]) for row in csv.DictReader(file)]
    assert counts == class_counts(made.splits["test"]).tolist()


def test_rare_classes_weigh_by_how_often_they_are_absent(tmp_path: Path) -> None:
    folder = write_patches(tmp_path, "labels", chances=[0.9, 0.5, 0.1, 0.0])
    made = patches(folder, MultilabelClassification)
    counts = class_counts(made.splits["train"])
    task = make_task(MultilabelClassification, pos_weight="balanced")
    task.learn_from(made.splits["train"])
    expected = [(48 - count) / count if count else 1.0 for count in counts.tolist()]
    assert task.weights.tolist() == pytest.approx(expected)
    outputs, batch = torch.zeros(1, 4), {"labels": torch.tensor([[0.0, 0.0, 1.0, 0.0]])}
    weighted = task.losses(outputs, batch)["cross_entropy"]
    plain = make_task(MultilabelClassification).losses(outputs, batch)["cross_entropy"]
    assert float(weighted / plain) == pytest.approx((3 + expected[2]) / 4)


@pytest.fixture(scope="module")
def trained(
    data: VisionDataModule, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MultilabelClassification, float]:
    task = make_task(MultilabelClassification)
    state = tmp_path_factory.mktemp("state")
    result = fit(task, data, trainer(8), state=state, resume_from=None, logger=None)
    restored = make_task(MultilabelClassification)
    restored.load_state_dict(result.weights)
    assert isinstance(restored, MultilabelClassification)
    return restored.eval(), result.score


def test_it_learns_and_keeps_the_thresholds_of_its_best_epoch(
    trained: tuple[MultilabelClassification, float], data: VisionDataModule
) -> None:
    task, score = trained
    assert score > 0.9
    assert not torch.equal(task.thresholds, torch.full((4,), 0.5))
    batches = list(data.val_dataloader())
    labels = torch.cat([batch["labels"] for batch in batches]).int()
    found = torch.cat([task.predict(batch["image"])["probabilities"] for batch in batches])
    torch.testing.assert_close(task.thresholds, best_thresholds(found, labels))


def test_the_report_tells_how_each_class_fares(
    trained: tuple[MultilabelClassification, float], data: VisionDataModule, tmp_path: Path
) -> None:
    task, _ = trained
    metrics = judged(task, data.test_dataloader(), tmp_path)
    assert set(metrics) == {
        "exact_match",
        "calibration_error",
        "macro_average_precision",
        "macro_f1",
        "micro_f1",
    }
    with (tmp_path / "tables" / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == CLASSES
    counts = class_counts(data.splits["test"]).tolist()
    assert [int(row["count"]) for row in rows] == counts
    precisions = [float(row["average_precision"]) for row in rows]
    assert np.mean(precisions) == pytest.approx(metrics["macro_average_precision"], abs=1e-4)
    f1 = [float(row["f1"]) for row in rows]
    assert np.mean(f1) == pytest.approx(metrics["macro_f1"], abs=1e-4)
    assert [float(row["threshold"]) for row in rows] == pytest.approx(
        task.thresholds.tolist(), abs=1e-5
    )
    assert (tmp_path / "plots" / "worst.png").stat().st_size > 1000


def test_the_exported_file_decides_as_the_task_does(
    trained: tuple[MultilabelClassification, float], data: VisionDataModule, tmp_path: Path
) -> None:
    task, _ = trained
    export_onnx(task, tmp_path / "model.onnx", size=SIZE, metadata={})
    predictor = OnnxPredictor(tmp_path / "model.onnx")
    batches = list(data.test_dataloader())
    found = predictor.predict(batches[0]["image"])
    assert list(found) == ["probabilities", "present"]
    assert found["present"].dtype == torch.bool
    assert torch.equal(found["present"], found["probabilities"] >= task.thresholds)
    certificate = certify(task, predictor, batches, tolerance=1e-3, metric_tolerance=1e-3)
    assert certificate.agrees, certificate.disagreement()
    assert certificate.decisions == 12 * len(CLASSES)
    assert "present" not in certificate.largest_difference
    task.thresholds.add_(0.3)
    try:
        flipped = certify(task, predictor, batches, tolerance=1e-3, metric_tolerance=1e-3)
    finally:
        task.thresholds.sub_(0.3)
    message = flipped.disagreement()
    assert message is not None
    assert "of 48 decisions whether a class is present differ" in message
