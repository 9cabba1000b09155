"""A split as a PyTorch data set."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from viewfinder.data.loading.sampler import SampleKey
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import View

Item = dict[str, Any]
Batch = dict[str, Any]


class SplitDataset(Dataset[Item]):
    """Decodes, transforms and converts the rows of a split file.

    Args:
        split: The rows.
        view: What the task sees of them.
        transform: How samples are brought to the model's input.
        seed: Seed of the augmentations; None takes the samples as they are.
    """

    def __init__(
        self, split: SplitFile, view: View, transform: Transform, seed: int | None = None
    ) -> None:
        self.split = split
        self.view = view
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: SampleKey) -> Item:
        """Return one item: ``image``, uint8 [channels, H, W], its ``id``, and the view's targets.

        Args:
            key: Epoch, which only the augmentation depends on, and row number.
        """
        epoch, index = key
        row = self.split.row(index, self.view.columns)
        sample = self.view.sample(row)
        seed = None if self.seed is None else (self.seed, epoch, index)
        transformed = self.transform(sample, seed)
        if self.view.keeps_boxes and len(transformed.boxes) < len(sample.boxes):
            transformed = self.transform(sample)
        image = torch.from_numpy(transformed.image).permute(2, 0, 1)
        return {"id": row["id"], "image": image, **self.view.targets(transformed)}


def collate(items: list[Item]) -> Batch:
    """Join items to a batch: tensors of one shape are stacked, everything else stays a list."""
    batch: Batch = {}
    for name in items[0]:
        values = [item[name] for item in items]
        batch[name] = torch.stack(values) if _stackable(name, values) else values
    return batch


def _stackable(name: str, values: list[Any]) -> bool:
    if name == "labels":  # a number for each class, or one for each object
        return values[0].is_floating_point()
    return isinstance(values[0], Tensor) and not name.endswith(("boxes", "masks", "crowd_labels"))
