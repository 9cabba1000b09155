"""Loading batches in processes, or in the training process itself."""

from collections.abc import Iterator

from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch


class LazyLoader(DataLoader[Batch]):
    """Begins to load a pass when its first batch is asked for.

    Lightning, going on from a checkpoint, makes the iterator before it tells the sampler which
    epoch it is. PyTorch's processes would begin at once, with the order of the first epoch.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of one pass."""
        yield from super().__iter__()
