"""Samples divided between the processes of a distributed training."""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from torch import distributed
from torch.utils.data import Sampler

from viewfinder.data.loading.sampler import SampleKey


class EpochOrder(Protocol):
    """An order of samples for each epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SampleKey]: ...


class RankShare(Sampler[SampleKey]):
    """Yields one process's share of another sampler's samples.

    The processes take turns, so that their batches together are the batches of a single process
    with a batch that many times as large. No sample is repeated.

    Args:
        order: All samples.
        rank: Number of this process.
        world_size: Number of processes.
        even: Whether all processes must get equally many, as training needs; the rest at the end
            is left out then.
    """

    def __init__(self, order: EpochOrder, rank: int, world_size: int, *, even: bool) -> None:
        self.order = order
        self.rank = rank
        self.world_size = world_size
        total = len(order)
        self.stop = total // world_size * world_size if even else total

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(range(self.rank, self.stop, self.world_size))

    def __iter__(self) -> Iterator[SampleKey]:
        return islice(iter(self.order), self.rank, self.stop, self.world_size)


def share(order: EpochOrder, *, even: bool) -> EpochOrder:
    """Return this process's share of the samples, all of them where it is the only one."""
    if not distributed.is_available() or not distributed.is_initialized():
        return order
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    return RankShare(order, rank, world_size, even=even) if world_size > 1 else order
