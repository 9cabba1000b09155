"""Samples in class-balanced shares."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from viewfinder.data.loading.sampler import SampleKey


class BalancedSampler(Sampler[SampleKey]):
    """Yields ``(epoch, index)`` with replacement, every class as often as every other.

    An image's chance is the inverse of the number of images of its class, of the rarest one where
    it holds several; images without any class count as a class of their own. An epoch is as long
    as the data set, and depends on the seed and its number alone. Lightning calls ``set_epoch``.

    Args:
        classes: The classes of each image.
        seed: Seed of the draws.
    """

    def __init__(self, classes: Sequence[Sequence[int]], seed: int) -> None:
        groups = [tuple(present) or (-1,) for present in classes]
        labels, counts = np.unique(
            [label for group in groups for label in group], return_counts=True
        )
        rarity = dict(zip(labels.tolist(), 1 / counts, strict=True))
        chances = np.array([max(rarity[label] for label in group) for group in groups])
        self.chances = chances / chances.sum()
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.chances)

    def __iter__(self) -> Iterator[SampleKey]:
        generator = np.random.default_rng([self.seed, self.epoch])
        drawn = generator.choice(len(self), size=len(self), p=self.chances)
        epoch = self.epoch
        return ((epoch, int(index)) for index in drawn)
