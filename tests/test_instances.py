"""Instance masks from split files to batches, metrics and reports."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from judged import judged
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.ops import masks_to_boxes, roi_align

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.dataset import Batch, collate
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import Instances
from viewfinder.data.readers.coco import read_coco
from viewfinder.data.schema import SPLITS, SplitInfo, split_path
from viewfinder.data.shards import ShardWriter, read_shards
from viewfinder.data.sources.digit_scenes import write_digit_scenes
from viewfinder.data.sources.digits import CLASSES
from viewfinder.data.splits.assign import official_split
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.measures.panoptic import QUALITIES
from viewfinder.evaluation.single import predict_picture
from viewfinder.tasks import InstanceSegmentation

SIZE = (64, 64)
COUNTS = {"train": 6, "val": 3, "test": 9}
DATASET = "scenes"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of two to four digits with their masks."""
    folder = tmp_path_factory.mktemp("instances")
    raw = folder / "raw"
    raw.mkdir()
    write_digit_scenes(raw, seed=3, counts=COUNTS, size=64, digits=(2, 4), digit_size=(16, 24))
    write_checksums(raw)
    names = {
        "annotations": {split: f"annotations/{split}.json" for split in SPLITS},
        "images": {split: split for split in SPLITS},
    }
    with Archive(raw) as archive:
        reading = read_coco(archive, **names)
        for split, records in official_split(reading.records).items():
            path = folder / split_path(DATASET, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            info = SplitInfo(DATASET, split, reading.classes, {})
            write_split(path, records, archive, reading.annotations, info)
    return folder


def module(project: Path, **options: Any) -> VisionDataModule:
    given: dict[str, Any] = {"size": SIZE, "batch_size": 3, "dataset": DATASET}
    return VisionDataModule(view=Instances(), project=project, **(given | options))


def check(batch: Batch) -> None:
    limits = torch.tensor([0.0, 0, 1, 1])
    for boxes, labels, masks in zip(batch["boxes"], batch["labels"], batch["masks"], strict=True):
        assert masks.dtype == torch.uint8
        assert masks.shape == (len(labels), *SIZE)
        assert set(masks.unique().tolist()) == {0, 1}
        torch.testing.assert_close(masks_to_boxes(masks) + limits, boxes, atol=1e-3, rtol=0)


def test_masks_come_with_their_boxes(project: Path) -> None:
    data = module(project)
    assert data.classes == list(CLASSES)
    batch = next(iter(data.val_dataloader()))
    assert [2 <= len(labels) <= 4 for labels in batch["labels"]] == [True] * 3
    check(batch)


def test_masks_are_flipped_with_their_boxes(project: Path) -> None:
    flips = {"flip": A.HorizontalFlip(p=1.0)}
    flipped = {
        name: masks
        for batch in module(project, augmentations=flips).train_dataloader()
        for name, masks in zip(batch["id"], batch["masks"], strict=True)
        if check(batch) is None
    }
    plain = next(iter(module(project, batch_size=6).train_dataloader()))
    for name, masks in zip(plain["id"], plain["masks"], strict=True):
        assert torch.equal(flipped[name], masks.flip(-1))


def test_objects_without_masks_are_refused(project: Path, tmp_path: Path) -> None:
    for split in SPLITS:
        table = read_shards(project / split_path(DATASET, split))
        rows = table.to_pylist()
        rows[0]["objects"][0]["rle"] = None
        with ShardWriter(tmp_path / split_path(DATASET, split), table.schema) as shards:
            for row in rows:
                shards.write(row, len(row["image"]["bytes"]))
    with pytest.raises(
        ViewfinderError, match=r"lacks masks \(1 of \d+ objects.*serve: multilabel, detection"
    ):
        module(tmp_path)


class Answers(nn.Module):
    """A network that knows the objects and gives each a mask ``shift`` cells to the right."""

    def __init__(self, batches: list[Batch], shift: int = 0) -> None:
        super().__init__()
        self._batches = iter(batches)
        self.shift = shift

    def forward(self, images: Tensor) -> Batch:
        return next(self._batches)

    def losses(self, batch: Batch, *truth: list[Tensor]) -> dict[str, Tensor]:
        """They know the answers."""
        return {"none": torch.zeros(())}

    def decode(self, batch: Batch, size: tuple[int, int]) -> dict[str, Tensor]:
        count, side = 5, 28
        found = {
            "boxes": torch.zeros(len(batch["id"]), count, 4),
            "scores": torch.zeros(len(batch["id"]), count),
            "labels": torch.zeros(len(batch["id"]), count, dtype=torch.int64),
            "masks": torch.zeros(len(batch["id"]), count, side, side),
        }
        for row, boxes in enumerate(batch["boxes"]):
            objects = len(boxes)
            regions = torch.cat([torch.arange(objects)[:, None], boxes], dim=1)
            masks = roi_align(batch["masks"][row][:, None].float(), regions, side, aligned=True)
            found["boxes"][row, :objects] = boxes
            found["scores"][row, :objects] = torch.linspace(0.95, 0.6, objects)
            found["labels"][row, :objects] = batch["labels"][row]
            found["masks"][row, :objects] = masks[:, 0].roll(self.shift, dims=-1)
        return found


def report(project: Path, folder: Path, shift: int = 0) -> dict[str, float]:
    loader: DataLoader[Batch] = module(project).test_dataloader()
    one_by_one: DataLoader[Batch] = module(project, batch_size=1).test_dataloader()
    task = InstanceSegmentation(
        Answers(list(one_by_one), shift), CLASSES, mean=[0.5] * 3, std=[0.5] * 3
    )
    return judged(task, loader, folder)


def test_a_network_that_knows_the_masks_gets_a_good_report(project: Path, tmp_path: Path) -> None:
    metrics = report(project, tmp_path)
    assert metrics["box_map"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["mask_map_50"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["mask_map"] > 0.6
    with (tmp_path / "tables" / "per_class.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(CLASSES)
    kinds = [f"{kind}_{name}" for kind in ("mask", "box") for name in ("ap", "ap_50", "recall")]
    assert list(rows[0]) == ["class", "count", *kinds, *QUALITIES]
    assert metrics["recognition_quality"] == 1.0
    assert metrics["panoptic_quality"] == metrics["segmentation_quality"] > 0.8
    found = [row for row in rows if row["count"] != "0"]
    for kind in ("mask", "box"):
        mean = np.mean([float(row[f"{kind}_ap"]) for row in found])
        assert mean == pytest.approx(metrics[f"{kind}_map"], abs=1e-4)
    for name in ("predictions.png", "worst.png"):
        with Image.open(tmp_path / "plots" / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 5


def test_masks_in_the_wrong_place_count_against_masks_alone(project: Path, tmp_path: Path) -> None:
    metrics = report(project, tmp_path, shift=14)
    assert metrics["box_map"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["mask_map"] < 0.1


@pytest.mark.parametrize(("shift", "found"), [(0, True), (14, False)])
def test_thresholds_are_found_by_the_masks(project: Path, shift: int, found: bool) -> None:
    batches = list(module(project, batch_size=1).test_dataloader())
    task = InstanceSegmentation(Answers(batches, shift), CLASSES, mean=[0.5] * 3, std=[0.5] * 3)
    search = task.new_search()
    for batch in batches:
        outputs = task.model(batch["image"])
        search.update(outputs, task.decode(outputs, SIZE), batch)
    thresholds = search.find()["thresholds"]
    there = torch.cat([labels for batch in batches for labels in batch["labels"]]).unique()
    # Without wrong detections the best threshold is below all scores, half of the lowest.
    assert bool((thresholds[there] < 0.49).all()) == found
    assert bool((thresholds == 0.5).all()) != found


def test_a_prediction_for_a_picture_outlines_its_objects(project: Path, tmp_path: Path) -> None:
    loader: DataLoader[Batch] = module(project, batch_size=1).test_dataloader()
    batch = next(iter(loader))
    task = InstanceSegmentation(Answers([batch]), CLASSES, mean=[0.5] * 3, std=[0.5] * 3)
    large = batch["image"][0].permute(1, 2, 0).numpy().repeat(2, axis=0).repeat(2, axis=1)
    Image.fromarray(large).save(tmp_path / "large.png")
    found = predict_picture(task, Transform(SIZE), tmp_path / "large.png")
    assert found.marks.outlines is not None
    assert len(found.marks.outlines) == len(batch["labels"][0])
    for lines, box in zip(found.marks.outlines, 2 * batch["boxes"][0], strict=True):
        corners = np.concatenate(lines)
        extent = [*corners.min(axis=0), *corners.max(axis=0)]
        assert extent == pytest.approx(box.tolist(), abs=5)
    found.draw(tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 1000


def test_masks_stay_lists_in_a_batch() -> None:
    items = [{"id": str(n), "masks": torch.zeros(2, 4, 4, dtype=torch.uint8)} for n in range(2)]
    assert isinstance(collate(items)["masks"], list)
