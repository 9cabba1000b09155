"""Tiny pictures that are learnt in seconds: class k is a bright patch in quadrant k."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.schema import SPLITS, Split, SplitInfo, split_path, split_schema
from viewfinder.data.shards import ShardWriter
from viewfinder.tasks.base import VisionTask

Annotation = Literal["label", "labels", "objects", "mask"]

SIDE = 16
CLASSES = ["north-west", "north-east", "south-west", "south-east"]
COUNTS: dict[Split, int] = {"train": 48, "val": 16, "test": 12}
NORMALISATION: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3}


def _draw(present: list[int], generator: np.random.Generator) -> NDArray[np.uint8]:
    pixels = generator.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    half = SIDE // 2
    for label in present:
        row, column = divmod(label, 2)
        pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] += 150
    return pixels


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _row(
    index: int, present: list[int], annotation: Annotation, generator: np.random.Generator
) -> dict[str, Any]:
    content = _png(_draw(present, generator))
    name = f"{index:03d}.png"
    half = SIDE / 2
    quadrants = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((SIDE // 2,) * 2))
    boxes = [(label % 2 * half, label // 2 * half) for label in present]
    values: dict[Annotation, Any] = {
        "label": present[0] if present else 0,
        "labels": present,
        "objects": [
            {"bbox": [x, y, x + half, y + half], "category": label, "rle": None, "crowd": False}
            for label, (x, y) in zip(present, boxes, strict=True)
        ],
        "mask": {"bytes": _png(quadrants.astype(np.uint8)), "path": name},
    }
    return {
        "id": name,
        "image": {"bytes": content, "path": name},
        "width": SIDE,
        "height": SIDE,
        "group": None,
        annotation: values[annotation],
    }


def write_patches(
    project: Path,
    annotation: Annotation,
    *,
    count: int = 4,
    chances: list[float] | None = None,
    counts: dict[Split, int] = COUNTS,
) -> Path:
    """Write the data set ``patches``.

    Args:
        project: The checkout.
        annotation: The column that says what is to be seen.
        count: Number of classes.
        chances: Of each class to be there (``labels``, ``objects``) or to be the one (``label``).
        counts: Images a split.
    """
    for number, split in enumerate(SPLITS):
        generator = np.random.default_rng(number)
        rows = []
        for index in range(counts[split]):
            if annotation == "label":
                present = [int(generator.choice(count, p=chances))]
            else:
                drawn = generator.random(count) < (chances or 0.5)
                present = np.flatnonzero(drawn).tolist()
            rows.append(_row(index, present, annotation, generator))
        schema = split_schema([annotation], SplitInfo("patches", split, CLASSES[:count], {}))
        with ShardWriter(project / split_path("patches", split), schema) as shards:
            for row in rows:
                shards.write(row, 0)
    return project


def patches_project(project: Path, annotation: Annotation, **network: Any) -> Path:
    """Write a checkout with ``dataset=patches`` and ``model=tiny``, a ``TinyNet``."""
    write_patches(project, annotation)
    shutil.copytree(Path(__file__).parents[1] / "conf", project / "conf")
    (project / "params.yaml").write_text("experiments: {}\n")
    (project / "conf" / "dataset" / "patches.yaml").write_text("name: patches\n")
    model = {"_target_": "patches.TinyNet", **network}
    (project / "conf" / "model" / "tiny.yaml").write_text(yaml.safe_dump(model))
    return project


def patches(project: Path, task: type[VisionTask], **options: Any) -> VisionDataModule:
    """Open the data set ``patches``."""
    given: dict[str, Any] = {"size": (SIDE, SIDE), "batch_size": 8, "seed": 1}
    return VisionDataModule(
        dataset="patches", view=task.view(), project=project, **(given | options)
    )


class TinyNet(nn.Module):
    """A backbone with batch normalisation and a head, for pictures of any size."""

    def __init__(self, num_classes: int, width: int = 8, norm: bool = True) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width) if norm else nn.Identity(),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, num_classes)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.backbone(images))
        return logits


class SignedNet(TinyNet):
    """Writes the number of the process in which it is made into a file."""

    def __init__(self, num_classes: int, folder: str) -> None:
        super().__init__(num_classes, norm=False)
        with (Path(folder) / "processes").open("a") as file:
            file.write(f"{os.getpid()}\n")


def make_task(kind: type[VisionTask], classes: int = 4, **options: Any) -> VisionTask:
    """Build a task with a tiny network of fixed random weights."""
    torch.manual_seed(3)
    optimizer = options.pop("optimizer", lambda groups: torch.optim.Adam(groups, lr=0.02))
    return kind(
        TinyNet(classes), CLASSES[:classes], **NORMALISATION, optimizer=optimizer, **options
    )


def trainer(epochs: int = 2, **options: Any) -> Callable[..., pl.Trainer]:
    """Return a function that makes a trainer, as the config does."""

    def make(**given: Any) -> pl.Trainer:
        fixed = {"max_epochs": epochs, "accelerator": "cpu", "devices": 1}
        return pl.Trainer(**(fixed | options | given))

    return make
