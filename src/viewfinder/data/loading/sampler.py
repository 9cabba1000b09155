"""The order of the samples, and the key that their augmentation is drawn from."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

SampleKey = tuple[int, int]


class EpochSampler(Sampler[SampleKey]):
    """Yields ``(epoch, index)``, so that a sample's augmentation depends on nothing else.

    The order of an epoch depends on the seed and the epoch alone: a resumed training sees what an
    uninterrupted one would have seen. Lightning calls ``set_epoch``.

    Args:
        size: Number of samples.
        seed: Seed of the order.
        shuffle: Whether to shuffle; without it every epoch is epoch 0 in file order.
    """

    def __init__(self, size: int, seed: int, *, shuffle: bool) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[SampleKey]:
        # A list of tuples would take over 100 bytes a sample.
        if not self.shuffle:
            return ((0, index) for index in range(self.size))
        epoch = self.epoch
        order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        return ((epoch, int(index)) for index in order)
