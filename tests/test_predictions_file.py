"""How the table of predictions is written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from judged import predicted
from made_predictions import SIZE, made
from torch import Tensor, nn
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch, collate
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import (
    decode_map,
    encode_map,
    encode_masks,
    predictions_of,
    rows_of,
)
from viewfinder.tasks import Classification

NAMES = ["dark", "bright"]


class Brightness(nn.Module):
    """Tells bright images from dark ones."""

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(1, 2, 3))
        return torch.stack([-means, means], dim=1)


def test_small_batches_are_gathered_to_few_row_groups(tmp_path: Path) -> None:
    labels = [number % 2 for number in range(600)]
    items: Any = [
        {
            "id": f"{number:03d}",
            "image": torch.full((3, 2, 2), 250 * label, dtype=torch.uint8),
            "label": torch.tensor(label),
        }
        for number, label in enumerate(labels)
    ]
    task = Classification(Brightness(), NAMES, mean=[0.5] * 3, std=[0.5] * 3)
    loader: DataLoader[Any] = DataLoader(items, batch_size=2, collate_fn=collate)
    groups = [f"group {number // 3}" for number in range(600)]
    file = predicted(task, loader, tmp_path, groups)
    assert pq.ParquetFile(file.path).num_row_groups == 2
    rows = list(file.rows())
    assert [row["id"] for row in rows] == [item["id"] for item in items]
    assert [row["group"] for row in rows] == groups
    assert [row["label"] for row in rows] == labels


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    """Masks of 12 images in row groups of four; image n has n as its predicted class."""
    rows = [
        {"mask": encode_map(torch.zeros(4, 4)), "predicted_mask": encode_map(torch.full((4, 4), n))}
        for n in range(12)
    ]
    whole = made(tmp_path / "whole", "segmentation", NAMES, rows)
    path = tmp_path / "predictions.parquet"
    pq.write_table(pq.read_table(whole.path), path, row_group_size=4)
    return path


def test_chosen_rows_come_in_the_order_asked_for(grouped: Path) -> None:
    rows = PredictionsFile(grouped).chosen([9, 0, 11, 4, 0])
    assert [row["score"] for row in rows] == [9, 0, 11, 4, 0]
    assert rows[0]["predicted_mask"] == encode_map(torch.full((4, 4), 9))
    assert PredictionsFile(grouped).chosen([]) == []


def test_only_the_row_groups_of_chosen_rows_are_read(grouped: Path) -> None:
    """What lies in another row group may even be damaged."""
    first = pq.ParquetFile(grouped).metadata.row_group(0)
    columns = [first.column(number) for number in range(first.num_columns)]
    (masks,) = (column for column in columns if column.path_in_schema == "predicted_mask")
    content = bytearray(grouped.read_bytes())
    start = masks.dictionary_page_offset or masks.data_page_offset
    content[start : start + masks.total_compressed_size] = bytes(masks.total_compressed_size)
    grouped.write_bytes(content)
    file = PredictionsFile(grouped)
    assert [row["score"] for row in file.chosen([5, 10])] == [5, 10]
    with pytest.raises(ViewfinderError, match=r"predictions.parquet is damaged: .*dvc repro"):
        file.chosen([0])


def test_pixels_keep_how_sure_the_model_was() -> None:
    shares = torch.tensor([[0.75, 0.2, 0.3, 0.006], [0.25, 0.8, 0.7, 0.994]])
    mask = torch.tensor([[[0, 0], [255, 1]]])
    batch: Batch = {"id": ["a"], "image": torch.zeros(1, 3, 2, 2), "mask": mask}
    (row,) = rows_of("segmentation", {"probabilities": shares.reshape(1, 2, 2, 2)}, batch)
    assert decode_map(row["confidence"]).tolist() == [[75, 80], [70, 99]]
    assert decode_map(row["given_confidence"]).tolist() == [[255, 20], [255, 255]]


def test_some_columns_can_be_read_alone(grouped: Path) -> None:
    rows = list(PredictionsFile(grouped).rows(["mask"]))
    assert [list(row) for row in rows] == [["mask"]] * 12


def test_only_masks_that_are_told_are_decoded() -> None:
    masks = torch.zeros(3, SIZE, SIZE, dtype=torch.bool)
    for number, mask in enumerate(masks):
        mask[number] = True
    boxes = [[0.0, n, SIZE, n + 1] for n in range(3)]
    row = {"height": SIZE, "width": SIZE, "predicted_boxes": boxes}
    row |= {"predicted_labels": [0, 1, 0], "predicted_scores": [0.9, 0.6, 0.5]}
    row |= {"predicted_masks": encode_masks(masks)}
    nothing = {**row, "predicted_scores": [0.1, 0.1, 0.1]}
    found = predictions_of("instances", [row, nothing], [0.5, 0.7])
    assert torch.equal(found["masks"][0], masks[[0, 2]])
    assert found["boxes"][0].tolist() == [boxes[0], boxes[2]]
    assert found["scores"].gt(0).tolist() == [[True, True], [False, False]]
    assert predictions_of("instances", [nothing], [0.5, 0.7])["masks"].shape == (1, 0, SIZE, SIZE)
