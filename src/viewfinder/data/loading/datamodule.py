"""The loaders of an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from viewfinder.data.loading.balanced import BalancedSampler
from viewfinder.data.loading.class_counts import image_classes
from viewfinder.data.loading.dataset import Batch, SplitDataset
from viewfinder.data.loading.loader import LazyLoader
from viewfinder.data.loading.rank_share import EpochOrder, share
from viewfinder.data.loading.sampler import EpochSampler
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.threads import ThreadLoader
from viewfinder.data.loading.transforms import Interpolation, Transform
from viewfinder.data.loading.views import (
    Boxes,
    ClassesPresent,
    ClassLabel,
    Instances,
    SemanticMask,
    SingleBox,
    View,
    WholeImageView,
)
from viewfinder.data.loading.workers import (
    WorkerCount,
    WorkerType,
    in_threads,
    one_thread,
    start_method,
    worker_count,
)
from viewfinder.data.schema import SPLITS, Split, split_path
from viewfinder.errors import ViewfinderError

Cache = Literal["none", "ram"]

_SERVED_BY: dict[str, type[View]] = {
    "classification": ClassLabel,
    "multilabel": ClassesPresent,
    "localization": SingleBox,
    "detection": Boxes,
    "segmentation": SemanticMask,
    "instances": Instances,
}


class VisionDataModule(pl.LightningDataModule):
    """Loaders of a data set's splits for one task.

    Training batches are shuffled and augmented by seed and epoch; the others come in file order
    without randomness.

    Args:
        dataset: Name of the data set.
        view: What the task sees of it.
        size: Height and width of the model's input, pixels.
        interpolation: How images are resampled to it.
        channels: 1 for grey images, 3 for RGB.
        augmentations: Augmentations for training, by name, in order.
        batch_size: Images a batch.
        num_workers: Loader processes or threads; 0 loads in the training loop itself, ``auto``
            decides by a short measurement.
        worker_type: ``process``, ``thread``, or ``auto``: threads for large images where no
            accelerator trains. The batches stay the same.
        cache: ``ram`` decodes each training and validation image once and keeps it in memory; the
            batches stay the same, but for random crops of large images, which are otherwise decoded
            at the scale that they need.
        balanced: Whether training batches hold every class as often as every other.
        seed: Seed of order and augmentation.
        splits: The splits to open; the others are neither read nor checked.
        project: The checkout that holds the split files.

    Raises:
        ViewfinderError: If a split file is missing or the data set cannot serve the task.
    """

    def __init__(
        self,
        *,
        dataset: str,
        view: View,
        size: tuple[int, int],
        interpolation: Interpolation = "linear",
        channels: int = 3,
        augmentations: Mapping[str, Any] | None = None,
        batch_size: int = 32,
        num_workers: WorkerCount = 0,
        worker_type: WorkerType = "auto",
        cache: Cache = "none",
        balanced: bool = False,
        seed: int = 0,
        splits: Sequence[Split] = SPLITS,
        project: Path = Path(),
    ) -> None:
        super().__init__()
        self.view = view
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.worker_type: WorkerType = worker_type
        self.cache = cache
        self.balanced = balanced
        self.seed = seed
        self.splits: dict[Split, SplitFile] = {
            split: SplitFile(project / split_path(dataset, split)) for split in splits
        }
        self._check(dataset)
        self.classes = view.classes(self.splits[splits[0]])
        transforms: Sequence[Any] = list((augmentations or {}).values())
        self.transform = Transform(size, interpolation, transforms, channels)
        if self.transform.for_whole_images and not isinstance(view, WholeImageView):
            raise ViewfinderError(
                f"The augmentations {', '.join(augmentations or {})} hold a random crop of "
                "viewfinder's or one of whole batches, which can't move boxes or masks along. Use "
                "albumentations transforms instead."
            )
        self._datasets: dict[Split, SplitDataset] = {}

    def _check(self, dataset: str) -> None:
        for split, file in self.splits.items():
            lacks = self.view.lacks(file)
            if lacks:
                able = [
                    name
                    for name, view in _SERVED_BY.items()
                    if not any(view().lacks(other) for other in self.splits.values())
                ]
                raise ViewfinderError(
                    f"The data set {dataset!r} can't serve this task: its {split} split lacks "
                    f"{lacks}. It can serve: {', '.join(able) or 'no task'}."
                )
            if not len(file):
                raise ViewfinderError(f"The {split} split of {dataset!r} has no images.")

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the shuffled, augmented training batches; a last partial batch is left out."""
        return self._loader("train", training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation batches."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches."""
        return self._loader("test")

    def images(self, split: Split, rows: Sequence[int]) -> Batch:
        """Return some images of a split, by row, as one batch without augmentation."""
        dataset = SplitDataset(self.splits[split], self.view, self.transform)
        return dataset.__getitems__([(0, row) for row in rows])

    def _loader(self, split: Split, *, training: bool = False) -> DataLoader[Batch]:
        dataset = self._dataset(split, training=training)
        accelerated = self._accelerated()
        workers = (
            worker_count(dataset, accelerated=accelerated)
            if self.num_workers == "auto"
            else self.num_workers
        )
        sampler = share(self._order(dataset.split, training=training), even=training)
        options: dict[str, Any] = {
            "batch_size": self.batch_size,
            "sampler": sampler,
            "drop_last": training and len(sampler) > self.batch_size,
            "pin_memory": accelerated,
            "collate_fn": _as_loaded,
        }
        if workers and in_threads(
            self.worker_type,
            dataset.split,
            decoding=self.cache == "none",
            accelerated=accelerated,
        ):
            return ThreadLoader(dataset, threads=workers, **options)
        return LazyLoader(
            dataset,
            **options,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context=start_method() if workers else None,
            # Drawing worker seeds from the global generator would disturb an exact resume.
            generator=torch.Generator().manual_seed(self.seed),
            worker_init_fn=one_thread,
        )

    def _order(self, file: SplitFile, *, training: bool) -> EpochOrder:
        if training and self.balanced:
            return BalancedSampler(image_classes(file), self.seed)
        return EpochSampler(len(file), self.seed, shuffle=training)

    def _dataset(self, split: Split, *, training: bool) -> SplitDataset:
        if split not in self._datasets:
            self._datasets[split] = SplitDataset(
                self.splits[split],
                self.view,
                self.transform,
                self.seed if training else None,
                # Test images are seen once, so that keeping them gains nothing.
                cached=self.cache == "ram" and split != "test",
            )
        return self._datasets[split]

    def _accelerated(self) -> bool:
        if self.trainer is not None:
            return self.trainer.strategy.root_device.type == "cuda"
        return torch.cuda.is_available()


def _as_loaded(batch: Any) -> Batch:
    """Return what the data set gives for a list of keys, which is a batch already."""
    loaded: Batch = batch
    return loaded
