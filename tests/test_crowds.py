"""Crowds: metrics forgive what is found in them, and losses never see them."""

import csv
import io
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from faster_coco_eval.core import mask as coco_mask
from judged import tabled
from PIL import Image
from torch import Tensor, nn

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.schema import SplitInfo, split_path, split_schema
from viewfinder.data.shards import ShardWriter
from viewfinder.tasks import Detection, InstanceSegmentation, VisionTask

SIDE = 32
ONE = [2.0, 2.0, 12.0, 12.0]
CROWD = [16.0, 16.0, 32.0, 30.0]
IN_CROWD = [[16.0, 16.0, 24.0, 23.0], [20.0, 18.0, 30.0, 28.0]]


def rle(box: list[float]) -> bytes:
    left, top, right, bottom = map(int, box)
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    counts: bytes = coco_mask.encode(mask)["counts"]
    return counts


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose images show one sheep and a flock."""
    folder = tmp_path_factory.mktemp("project")
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(buffer, "PNG")
    for split in ("train", "test"):
        row = {
            "id": "meadow.png",
            "image": {"bytes": buffer.getvalue(), "path": "meadow.png"},
            "width": SIDE,
            "height": SIDE,
            "group": None,
            "objects": [
                {"bbox": box, "category": 0, "rle": rle(box), "crowd": box == CROWD}
                for box in (CROWD, ONE)
            ],
        }
        schema = split_schema(["objects"], SplitInfo("sheep", split, ["sheep"], {}))
        with ShardWriter(folder / split_path("sheep", split), schema) as shards:
            shards.write(row, 0)
    return folder


def module(project: Path, task: type[VisionTask], **options: Any) -> VisionDataModule:
    return VisionDataModule(
        dataset="sheep",
        view=task.view(),
        size=(SIDE, SIDE),
        batch_size=1,
        splits=("train", "test"),
        project=project,
        **options,
    )


class Shepherd(nn.Module):
    """Finds the one sheep, and two of the flock with more certainty."""

    def forward(self, images: Tensor) -> Tensor:
        return images

    def losses(self, outputs: Tensor, *truth: list[Tensor]) -> dict[str, Tensor]:
        return {"none": torch.zeros(())}

    def decode(self, outputs: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        return {
            "boxes": torch.tensor([[*IN_CROWD, ONE]]),
            "scores": torch.tensor([[0.9, 0.8, 0.7]]),
            "labels": torch.zeros(1, 3, dtype=torch.int64),
            "masks": torch.ones(1, 3, 14, 14),
        }


@pytest.mark.parametrize(
    ("kind", "figure", "column"),
    [(Detection, "map_50", "ap_50"), (InstanceSegmentation, "mask_map_50", "mask_ap_50")],
)
def test_what_is_found_in_a_crowd_is_not_wrong(
    project: Path, tmp_path: Path, kind: type[VisionTask], figure: str, column: str
) -> None:
    task = kind(Shepherd(), ["sheep"], mean=[0.5] * 3, std=[0.5] * 3)
    metrics = tabled(task, module(project, kind).test_dataloader(), tmp_path)
    assert metrics[figure] == pytest.approx(1.0)
    (score,) = pq.read_table(tmp_path / "predictions.parquet")["score"].to_pylist()
    assert score == pytest.approx(1.0)  # the IoU of the one sheep, nothing missed or wrong
    with (tmp_path / "tables" / "per_class.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["count"] == "1"
    assert float(row[column]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [Detection, InstanceSegmentation])
def test_losses_see_objects_only_and_augmentations_move_both(
    project: Path, kind: type[VisionTask]
) -> None:
    data = module(project, kind, augmentations={"flip": A.HorizontalFlip(p=1.0)})
    batch = next(iter(data.train_dataloader()))
    assert batch["boxes"][0].tolist() == [[20.0, 2.0, 30.0, 12.0]]
    assert batch["labels"][0].tolist() == [0]
    assert batch["crowd_boxes"][0].tolist() == [[0.0, 16.0, 16.0, 30.0]]
    assert batch["crowd_labels"][0].tolist() == [0]
    if kind is InstanceSegmentation:
        assert batch["masks"][0].shape == batch["crowd_masks"][0].shape == (1, SIDE, SIDE)
        assert int(batch["masks"][0].sum()) == 100
