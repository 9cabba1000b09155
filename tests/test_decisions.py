"""What is found on validation images: a temperature, and thresholds for detections."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from judged import judged, predicted
from patches import NORMALISATION, make_task, patches, trainer, write_patches
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch, collate
from viewfinder.tasks import Classification, Detection, VisionTask
from viewfinder.tasks.judging import judge
from viewfinder.tasks.measuring import Search
from viewfinder.tasks.temperature import TemperatureSearch
from viewfinder.training.fit import fit
from viewfinder.training.options import TrainingOptions

CLASSES = ["cat", "dog", "bird"]


def validate(task: VisionTask, batches: Sequence[Batch]) -> None:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "enable_checkpointing": False}
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    pl.Trainer(accelerator="cpu", **quiet).validate(task, loader, verbose=False)


# --- temperature ----------------------------------------------------------------------------------


class Boasting(nn.Module):
    """Reads the logits from the first pixels, and multiplies them."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, pixels: Tensor) -> Tensor:
        return self.factor * (pixels[:, 0, 0, : len(CLASSES)] * 255 - 128) / 32


def honest_items(count: int, seed: int) -> list[dict[str, Any]]:
    """Images whose label is drawn with the probabilities that their pixels tell."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    shares = ((images[:, 0, 0, : len(CLASSES)].float() - 128) / 32).softmax(dim=1)
    labels = torch.multinomial(shares, 1, generator=generator)[:, 0]
    return [
        {"id": str(number), "image": image, "label": label}
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def boaster(factor: float) -> Classification:
    return Classification(Boasting(factor), CLASSES, mean=[0.0] * 3, std=[1.0] * 3)


@pytest.mark.parametrize(("factor", "expected"), [(3.0, 3.0), (0.4, 0.4)])
def test_the_factor_of_the_logits_is_found_and_held_out_images_gain(
    factor: float, expected: float, tmp_path: Path
) -> None:
    items, task = honest_items(2000, 0), boaster(factor)
    validate(task, [collate(items[start : start + 130]) for start in range(0, 2000, 130)])
    assert float(task.temperature) == pytest.approx(expected, rel=0.1)
    held_out: Any = DataLoader(
        honest_items(600, 1),  # type: ignore[arg-type]
        batch_size=200,
        collate_fn=collate,
    )
    metrics = judged(task, held_out, tmp_path / "scaled")
    assert metrics["temperature"] == float(task.temperature)
    assert metrics["calibration_error"] < 0.06 < metrics["calibration_error_unscaled"]
    task.temperature.fill_(1.0)
    before = judged(task, held_out, tmp_path / "unscaled")
    # The table of predictions tells both.
    assert before["calibration_error"] == pytest.approx(
        metrics["calibration_error_unscaled"], abs=1e-4
    )
    assert before["accuracy"] == metrics["accuracy"]


def found_temperature(logits: Tensor, labels: Tensor) -> float:
    search = TemperatureSearch(lambda outputs: outputs)
    search.update(logits, {}, {"label": labels})
    return float(search.find()["temperature"])


def test_no_temperature_has_a_smaller_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 4 * torch.randn(5000, 20, generator=generator)
    labels = torch.multinomial((logits / 2.2).softmax(dim=1), 1, generator=generator)[:, 0]

    def loss(temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / temperature, labels))

    found = found_temperature(logits, labels)
    assert found == pytest.approx(2.2, rel=0.05)
    assert loss(found) <= min(loss(value) for value in np.linspace(2.0, 2.4, 81)) + 1e-5


@pytest.mark.parametrize("images", [1, 10, 1000])
def test_few_images_that_are_all_right_do_not_make_it_certain(images: int) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 10, (images,), generator=generator)
    logits = torch.randn(images, 10, generator=generator) + 8 * torch.eye(10)[labels]
    temperature = found_temperature(logits, labels)
    surest = (logits / temperature).softmax(dim=1).amax(dim=1).mean()
    # The rule of succession, spread over classes that are not all equally far behind.
    assert 1 - 3 / (images + 2) <= float(surest) <= 1 - 0.5 / (images + 2)


def test_a_temperature_has_bounds_and_says_nothing_of_nothing() -> None:
    labels = torch.arange(30) % 3
    assert found_temperature(-9 * torch.eye(3)[labels], labels) == 20.0
    assert found_temperature(torch.zeros(30, 3), labels) == 1.0
    assert found_temperature(torch.full((30, 3), torch.nan), labels) == 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU, evaluate uses it")
def test_a_network_on_a_gpu_is_judged_there_and_its_answers_come_back() -> None:
    with FakeTensorMode():  # knows of devices that this machine lacks, and refuses to mix them
        task = boaster(1.0).to("cuda:0")
        predictions, losses = judge(task, collate(honest_items(3, 0)))
    assert predictions["probabilities"].device == losses.device == torch.device("cpu")
    assert losses.shape == (3,)


class Unscaled(Classification):
    """As if there were no temperature."""

    def new_search(self) -> Search | None:
        return None


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.8, "mixup": 0.4}])
def test_training_is_the_same_and_the_best_epoch_keeps_its_temperature(
    options: dict[str, Any], tmp_path: Path
) -> None:
    data = patches(write_patches(tmp_path, "label", count=2), Classification)
    results = []
    for kind in (Unscaled, Classification):
        state = tmp_path / kind.__name__
        task = make_task(kind, 2)
        made = {"resume_from": None, "logger": None, "options": TrainingOptions(**options)}
        results.append(fit(task, data, trainer(3), state=state, **made))
    without, scaled = results
    assert scaled.history == without.history
    temperature = scaled.weights.pop("temperature")
    assert without.weights.pop("temperature") == 1
    assert all(torch.equal(scaled.weights[name], value) for name, value in without.weights.items())
    restored = make_task(Classification, 2)
    restored.load_state_dict(without.weights | {"temperature": temperature})
    batches = list(data.val_dataloader())
    with torch.no_grad():
        restored.eval()
        logits = torch.cat([restored.model(restored.normalize(item["image"])) for item in batches])
    labels = torch.cat([item["label"] for item in batches])
    assert float(temperature) == pytest.approx(found_temperature(logits, labels), rel=1e-4)
    assert float(temperature) != 1


# --- thresholds of detections ---------------------------------------------------------------------


class Told(nn.Module):
    """A detector whose detections are chosen."""

    def __init__(self, answers: Sequence[dict[str, Tensor]]) -> None:
        super().__init__()
        self._answers = iter(answers)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return next(self._answers)

    def losses(self, outputs: Any, *truth: Any) -> dict[str, Tensor]:
        return {"none": torch.zeros(())}

    def decode(self, outputs: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        return outputs


def scenes(count: int, seed: int) -> tuple[list[Batch], list[dict[str, Tensor]]]:
    """Objects side by side, and detections of which the likelier ones are more often right.

    No scene shows the third class.
    """
    generator = np.random.default_rng(seed)
    batches, answers = [], []
    for number in range(count):
        left = np.array([0.0, 20, 40, 60])[: int(generator.integers(0, 5))]
        boxes = np.stack([left, 0 * left, left + 16, 0 * left + 16], axis=1)
        labels = generator.integers(0, 2, len(boxes))
        scores = generator.uniform(0.05, 1, 6)
        places = generator.permutation(4).repeat(2)[:6] * 20.0
        places += np.where(generator.random(6) < scores, 1, 50)
        found = np.stack([places, 0 * places, places + 16, 0 * places + 16], axis=1)
        order = np.argsort(-scores)
        guessed = generator.integers(0, 2, 6)
        batches.append(
            {
                "id": [str(number)],
                "image": torch.zeros(1, 3, 80, 80, dtype=torch.uint8),
                "boxes": [torch.tensor(boxes, dtype=torch.float32)],
                "labels": [torch.tensor(labels)],
            }
        )
        answers.append(
            {
                "boxes": torch.tensor(found[order], dtype=torch.float32)[None],
                "scores": torch.tensor(scores[order], dtype=torch.float32)[None],
                "labels": torch.tensor(guessed)[None],
            }
        )
    return batches, answers


def counted(
    batches: Sequence[Batch], answers: Sequence[dict[str, Tensor]], label: int, threshold: float
) -> tuple[int, int, int]:
    """Count objects, detections told and right ones of a class, by the definition."""
    objects = told = right = 0
    for batch, answer in zip(batches, answers, strict=True):
        free = batch["boxes"][0][batch["labels"][0] == label].tolist()
        objects += len(free)
        for box, score, guess in zip(*(answer[name][0] for name in answer), strict=True):
            if int(guess) != label or float(score) < threshold:
                continue
            told += 1
            near = [other for other in free if abs(other[0] - float(box[0])) < 16 / 3]
            if near:
                free.remove(near[0])
                right += 1
    return objects, told, right


def test_no_threshold_of_a_class_has_a_larger_f1() -> None:
    batches, answers = scenes(40, 0)
    task = Detection(Told(answers), CLASSES, **NORMALISATION)
    validate(task, batches)

    def f1(label: int, threshold: float) -> float:
        objects, told, right = counted(batches, answers, label, threshold)
        return 2 * right / (objects + told)

    every = torch.cat([answer["scores"][0] for answer in answers]).tolist()
    for label in range(2):
        found = float(task.thresholds[label])
        assert 0.05 < found < 1
        assert f1(label, found) == pytest.approx(max(f1(label, score) for score in every))
    assert task.thresholds[0] != task.thresholds[1]
    assert task.thresholds[2] == 0.5  # nothing was there to be found


def test_test_images_are_told_by_what_validation_found(tmp_path: Path) -> None:
    validation = scenes(40, 0)
    task = Detection(Told(validation[1]), CLASSES, **NORMALISATION)
    validate(task, validation[0])
    found = task.thresholds.clone()
    batches, answers = scenes(30, 7)
    items = [{name: values[0] for name, values in batch.items()} for batch in batches]
    loader: Any = DataLoader(items, batch_size=4, collate_fn=collate)  # type: ignore[arg-type]
    task.model = Told(answers)
    metrics = judged(task, loader, tmp_path)
    assert torch.equal(task.thresholds, found)
    with (tmp_path / "tables" / "operating_point.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == CLASSES
    counts = []
    for label, row in enumerate(rows[:2]):
        threshold = float(found[label])
        objects, told, right = counted(batches, answers, label, threshold)
        counts.append((objects, told, right))
        assert float(row["threshold"]) == pytest.approx(threshold, abs=1e-5)
        assert (int(row["objects"]), int(row["told"])) == (objects, told)
        figures = (right / told, right / objects, 2 * right / (told + objects))
        assert [float(row[name]) for name in ("precision", "recall", "f1")] == pytest.approx(
            figures, abs=1e-5
        )
    assert (rows[2]["objects"], rows[2]["precision"], rows[2]["f1"]) == ("0", "", "")
    objects, told, right = np.sum(counts, axis=0).tolist()
    assert metrics["precision"] == pytest.approx(right / told)
    assert metrics["recall"] == pytest.approx(right / objects)
    assert metrics["f1"] == pytest.approx(2 * right / (objects + told))


def test_the_table_of_predictions_keeps_all_detections_and_the_thresholds(tmp_path: Path) -> None:
    batches, answers = scenes(5, 1)
    items = [{name: values[0] for name, values in batch.items()} for batch in batches]
    loader: Any = DataLoader(items, batch_size=1, collate_fn=collate)  # type: ignore[arg-type]
    task = Detection(Told(answers), CLASSES, **NORMALISATION)
    task.thresholds.fill_(0.9)
    table = predicted(task, loader, tmp_path)
    assert table.info.thresholds == pytest.approx([0.9] * 3)
    assert sum(len(row["predicted_scores"]) for row in table.rows()) == 5 * 6
