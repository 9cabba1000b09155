"""Data sets of one class, such as "find the card": trained, judged and reported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from judged import judged
from patches import CLASSES, TinyNet, make_task, patches, trainer, write_patches
from torch import Tensor, nn

from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.tasks import Classification, Localization, MultilabelClassification, VisionTask
from viewfinder.training.fit import fit


class TinyLocalizer(nn.Module):
    """A class and a box."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = TinyNet(classes + 4)

    def forward(self, images: Tensor) -> RawLocalization:
        outputs = self.body(images)
        return RawLocalization(outputs[:, :-4], outputs[:, -4:].sigmoid())


def one_class_task(kind: type[VisionTask]) -> VisionTask:
    task = make_task(kind, 1, **({"losses": {"l1": 1.0}} if kind is Localization else {}))
    if kind is Localization:
        task.model = TinyLocalizer(1)
    return task


@pytest.mark.parametrize(
    ("kind", "annotation", "chances"),
    [
        (Localization, "objects", [1.0]),
        (Classification, "label", [1.0]),
        (MultilabelClassification, "labels", [0.5]),
    ],
)
def test_one_class_trains_and_reports(
    kind: type[VisionTask], annotation: str, chances: list[float], tmp_path: Path
) -> None:
    folder = write_patches(tmp_path, annotation, count=1, chances=chances)
    data = patches(folder, kind)
    task = one_class_task(kind)
    result = fit(task, data, trainer(1), state=tmp_path / "state", resume_from=None, logger=None)
    assert result.weights
    report = tmp_path / "report"
    metrics = judged(task, data.test_dataloader(), report)
    with (report / "tables" / "per_class.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["class"] == CLASSES[0]
    if kind is MultilabelClassification:
        assert metrics["macro_f1"] == pytest.approx(float(row["f1"]), abs=1e-4)
        return
    assert (metrics["accuracy"], metrics["macro_f1"], row["count"]) == (1.0, 1.0, "12")
    written = json.loads((report / "metrics.json").read_text())
    assert written["log_loss"] == {"value": None, "reason": "there is one class only"}
