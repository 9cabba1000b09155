"""A split as a PyTorch data set."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from viewfinder.data.loading.augmentation import Generators
from viewfinder.data.loading.decode import Reduction, decode_image, decode_roughly
from viewfinder.data.loading.pixel_cache import PixelCache
from viewfinder.data.loading.random_crop import Part
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.sampler import SampleKey
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import View, WholeImageView

Item = dict[str, Any]
Batch = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
Numbers = NDArray[np.int64]

_ANNOTATIONS = frozenset({"mask", "objects"})


class SplitDataset(Dataset[Item]):
    """Decodes, transforms and converts the rows of a split, a batch at a time.

    Args:
        split: The rows.
        view: What the task sees of them.
        transform: How samples are brought to the model's input.
        seed: Seed of the augmentations; None takes the samples as they are.
        cached: Whether all images are decoded now and kept in memory.

    Raises:
        ViewfinderError: If an image can't be decoded, or the memory does not suffice for all.
    """

    def __init__(
        self,
        split: SplitFile,
        view: View,
        transform: Transform,
        seed: int | None = None,
        *,
        cached: bool = False,
    ) -> None:
        self.split = split
        self.view = view
        self.transform = transform
        self.seed = seed
        self._by_rows = view.row_targets if isinstance(view, WholeImageView) else None
        self._annotated = bool(_ANNOTATIONS & set(view.columns))
        self._columns = [*(name for name in view.columns if name != "image"), "height", "width"]
        self._resampled = seed is not None and transform.resamples
        self._decode = decode_roughly if self._resampled else decode_image
        self._cache: PixelCache | None = None
        if cached:
            resize = None if self._resampled else transform.resized
            self._cache = PixelCache(split, self._decode, self._reduction, resize, transform.size)

    def for_thread(self) -> "SplitDataset":
        """Return the same data set for use in another thread at the same time."""
        other = copy.copy(self)
        other.transform = copy.deepcopy(self.transform)
        return other

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: SampleKey) -> Item:
        """Return one item: a batch of one, without its first dimension."""
        return {name: values[0] for name, values in self.__getitems__([key]).items()}

    def __getitems__(self, keys: Sequence[SampleKey]) -> Batch:
        """Return a batch: ``image``, uint8 [B, channels, H, W], ``id``, and the view's targets.

        The images lie in memory with their channels last, as decoders give and networks like them.

        Args:
            keys: Epoch, which only the augmentation depends on, and row number.
        """
        epochs, indices = np.array(keys, np.int64).T
        rows = self.split.rows(indices, self._columns)
        names = {"id": [row["id"] for row in rows]}
        room = _new_images(len(rows), self.transform.size)
        images = room.numpy()
        if self._by_rows is None or (self.seed is not None and self.transform.of_single_images):
            targets = self._fill_with_samples(images, rows, epochs, indices)
        else:
            self._fill(images, rows, epochs, indices)
            targets = self._by_rows(rows)
        if self.seed is not None:
            self.transform.on_batch(images, self.seed, epochs, indices)
        return names | {"image": self._input(room)} | targets

    def _fill(
        self, images: NDArray[np.uint8], rows: Rows, epochs: Numbers, indices: Numbers
    ) -> None:
        """Fill a batch whose images need nothing but their crop and the model's input size."""
        if self._cache is not None and not self._resampled:
            self._cache.read(indices, images)
            return
        for room, image in zip(images, self._images(rows, epochs, indices), strict=True):
            self.transform.resize_into(image, room)

    def _fill_with_samples(
        self, images: NDArray[np.uint8], rows: Rows, epochs: Numbers, indices: Numbers
    ) -> Batch:
        """Fill a batch sample by sample, and return its targets."""
        draws = self._draws(epochs, indices)
        targets = []
        for place, image in enumerate(self._images(rows, epochs, indices)):
            sample = self._sample(rows[place], image, draws[place])
            # Copied at once: to free many arrays together gives their memory back to the system.
            images[place] = sample.image
            if self._by_rows is None:
                targets.append(self.view.targets(sample))
        return collate(targets) if self._by_rows is None else self._by_rows(rows)

    def _images(self, rows: Rows, epochs: Numbers, indices: Numbers) -> Iterator[NDArray[np.uint8]]:
        """Yield decoded images one at a time: each is used while the processor's cache holds it."""
        frames = [(row["height"], row["width"]) for row in rows]
        parts = self._parts(frames, epochs, indices)
        if self._cache is not None:
            for index, part in zip(indices.tolist(), parts, strict=True):
                image = self._cache.image(index)
                yield image if part is None else part.of(image, self._cache.reduction(index))
            return
        contents = self.split.images(indices)
        for content, row, frame, part in zip(contents, rows, frames, parts, strict=True):
            content = memoryview(content)
            if part is None:
                yield self._decode(content, row["id"], self._reduction(*frame))
                continue
            reduction = self.transform.reduction_of_part(part)
            image = decode_roughly(content, row["id"], reduction, rows=part.top + part.height)
            yield part.of(image, reduction)

    def _parts(
        self, frames: Sequence[tuple[int, int]], epochs: Numbers, indices: Numbers
    ) -> Sequence[Part | None]:
        """Return the random crop of each image, None for the whole of it."""
        whole = [None] * len(frames)
        if self.seed is None:
            return whole
        return self.transform.parts(frames, self.seed, epochs, indices) or whole

    def _reduction(self, height: int, width: int) -> Reduction:
        return self.transform.reduction(
            (height, width), augmented=self.seed is not None, annotated=self._annotated
        )

    def _draws(self, epochs: Numbers, indices: Numbers) -> list[Generators | None]:
        if self.seed is None:
            return [None] * len(indices)
        keys = zip(epochs.tolist(), indices.tolist(), strict=True)
        return self.transform.draw([(self.seed, *key) for key in keys])

    def _sample(
        self, row: Mapping[str, Any], image: NDArray[np.uint8], source: Generators | None
    ) -> Sample:
        sample = self.view.sample({**row, "image": image})
        sample.frame = (row["height"], row["width"])
        transformed = self.transform.drawn(sample, source)
        if self.view.keeps_boxes and len(transformed.boxes) < len(sample.boxes):
            return self.transform.drawn(sample, None)
        return transformed

    def _input(self, images: Tensor) -> Tensor:
        """Return the model's input, [B, channels, H, W], of RGB images [B, H, W, 3]."""
        if self.transform.channels == 1:
            images = torch.from_numpy(self.transform.grey(images.numpy()))
        return images.permute(0, 3, 1, 2)


def _new_images(count: int, size: tuple[int, int]) -> Tensor:
    """Return room for images, [B, H, W, 3]; a worker shares it with the training process.

    As long as this very tensor is what a worker sends, and not one made of its NumPy array, its
    pixels are not copied once more.
    """
    shape = (count, *size, 3)
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    # PyTorch's own collate function does the same, which saves a copy.
    storage: Any = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


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
