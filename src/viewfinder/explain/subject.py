"""An image that a network is looked into with, and what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.picture import load_picture
from viewfinder.data.loading.transforms import Transform


@dataclass(frozen=True)
class Subject:
    """One image.

    Attributes:
        name: Its id or file.
        image: As the network takes it, uint8 [channels, H, W].
        boxes: Left, top, right, bottom of its objects in pixels, float32 [N, 4].
        labels: Classes that are known to be in it.
        mask: The class of each pixel, int64 [H, W], where it is known.
    """

    name: str
    image: Tensor
    boxes: NDArray[np.float32]
    labels: Sequence[int] = ()
    mask: Tensor | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image as RGB, uint8 [H, W, 3]."""
        channels = self.image.shape[0]
        return self.image.permute(1, 2, 0).numpy().repeat(3 // channels, axis=2)


def subjects_of_batch(batch: Batch) -> list[Subject]:
    """Return the images of a batch with their annotations, whatever the task."""
    return [_subject(batch, index) for index in range(len(batch["id"]))]


def picture_subject(path: Path, transform: Transform) -> Subject:
    """Return a picture of no data set.

    Args:
        path: The picture's file.
        transform: What brings a picture to the size that the network was trained on.

    Raises:
        ViewfinderError: If it can't be decoded.
    """
    return Subject(path.name, load_picture(path, transform)[1], np.zeros((0, 4), np.float32))


def _subject(batch: Batch, index: int) -> Subject:
    boxes = (
        batch["box"][index][None] if "box" in batch else batch.get("boxes", {index: None})[index]
    )
    labels: list[int] = []
    if "label" in batch:
        labels = [int(batch["label"][index])]
    elif "labels" in batch:
        given: Tensor = batch["labels"][index]
        present = given.nonzero().flatten() if given.is_floating_point() else torch.unique(given)
        labels = [int(label) for label in present]
    return Subject(
        name=batch["id"][index],
        image=batch["image"][index],
        boxes=np.zeros((0, 4), np.float32) if boxes is None else torch.as_tensor(boxes).numpy(),
        labels=labels,
        mask=batch["mask"][index] if "mask" in batch else None,
    )
