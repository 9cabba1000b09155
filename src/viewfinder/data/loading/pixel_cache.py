"""All decoded images of a split in one array that the loader's processes share."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from viewfinder.data.loading.decode import Decoder, Reduction
from viewfinder.data.loading.memory import available_memory
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.workers import available_cores
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_PART = 64
_GIB = 2**30
# What is left for the training itself and for everybody else.
_RESERVE = 0.1

Pixels = NDArray[np.uint8]


class PixelCache:
    """Decodes every image of a split once and keeps its pixels.

    Worker processes that are forked see the same memory; those that are started afresh get it
    through PyTorch's shared memory.

    Args:
        split: The rows.
        decode: Decodes an image.
        reduction: Returns the scale to decode at, from an image's height and width.
        resize: Brings an image to the model's input size; None keeps each at its decoded size.
        size: The model's input size, height and width in pixels.

    Raises:
        ViewfinderError: If the free memory does not suffice, or an image can't be decoded.
    """

    def __init__(
        self,
        split: SplitFile,
        decode: Decoder,
        reduction: Callable[[int, int], Reduction],
        resize: Callable[[Pixels], Pixels] | None,
        size: tuple[int, int],
    ) -> None:
        self._decode = decode
        sizes = np.stack([_column(split, "height"), _column(split, "width")], axis=1)
        self._reductions = np.array([reduction(h, w) for h, w in sizes.tolist()], np.int8)
        if resize is None:
            self._sizes = (-(-sizes // self._reductions[:, None])).astype(np.int32)
        else:
            self._sizes = np.tile(np.array(size, np.int32), (len(split), 1))
        areas = self._sizes.astype(np.int64).prod(axis=1)
        self._starts = np.concatenate([[0], np.cumsum(3 * areas)])
        _check_memory(split, int(self._starts[-1]))
        self._pixels = torch.empty(int(self._starts[-1]), dtype=torch.uint8)
        self._fill(split, resize)

    def image(self, index: int) -> Pixels:
        """Return one image, uint8 [H, W, 3]: a view that must not be changed."""
        height, width = self._sizes[index]
        flat = self._pixels.numpy()[self._starts[index] : self._starts[index + 1]]
        return flat.reshape(height, width, 3)

    def reduction(self, index: int) -> int:
        """Return the scale reduction that one image was decoded at."""
        return int(self._reductions[index])

    def read(self, indices: NDArray[np.int64], images: Pixels) -> None:
        """Copy images, all of one size, into ``images``, uint8 [B, H, W, 3]."""
        pixels = self._pixels.numpy().reshape(-1, *images.shape[1:])
        # Any mode but "raise" writes without a buffer in between.
        np.take(pixels, indices, axis=0, out=images, mode="clip")

    def _fill(self, split: SplitFile, resize: Callable[[Pixels], Pixels] | None) -> None:
        parts = [
            range(start, min(start + _PART, len(split))) for start in range(0, len(split), _PART)
        ]
        with ThreadPoolExecutor(available_cores()) as pool:

            def filled() -> Iterator[None]:
                yield from pool.map(lambda part: self._fill_part(split, resize, part), parts)

            try:
                name = f"decoding {split.info.dataset}/{split.info.split}"
                with progress(filled(), name, len(parts)) as done:
                    for _ in done:
                        pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _fill_part(
        self, split: SplitFile, resize: Callable[[Pixels], Pixels] | None, part: range
    ) -> None:
        rows = split.rows(part, ["id"])
        for index, row, content in zip(part, rows, split.images(part), strict=True):
            reduction: Reduction = self._reductions[index]
            image = self._decode(memoryview(content), row["id"], int(reduction))  # type: ignore[arg-type]
            self.image(index)[:] = image if resize is None else resize(image)


def _column(split: SplitFile, name: str) -> NDArray[np.int32]:
    return np.asarray(split.table.column(name).to_numpy(), np.int32)


def _check_memory(split: SplitFile, needed: int) -> None:
    free = int(available_memory() * (1 - _RESERVE))
    if needed > free:
        raise ViewfinderError(
            f"loader.cache=ram needs {needed / _GIB:.2f} GiB for the {len(split)} decoded images "
            f"of {split.path}, but {free / _GIB:.2f} GiB are free. Set loader.cache=none, or lower "
            "image.size where no augmentation comes before the resize."
        )
