"""Loading batches in threads of the training process.

Threads share its memory: batches are not handed over, and need none of the shared memory that
containers are short of. They pay where decoding takes most of the time, during which Python serves
other threads.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import cv2
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch, SplitDataset
from viewfinder.data.loading.sampler import SampleKey

_AHEAD = 2  # batches for each thread, as PyTorch's processes prefetch


class ThreadLoader(DataLoader[Batch]):
    """Loads batches ahead of their use, and gives them in the sampler's order.

    Args:
        dataset: The data set; every thread gets a copy, with transforms of its own.
        threads: Number of threads.
        options: As for ``DataLoader``, without what concerns processes.
    """

    def __init__(self, dataset: SplitDataset, *, threads: int, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.threads = threads

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of one pass."""
        assert isinstance(self.dataset, SplitDataset)
        assert self.batch_sampler is not None
        idle: SimpleQueue[SplitDataset] = SimpleQueue()
        for _ in range(self.threads):
            idle.put(self.dataset.for_thread())
        waiting: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.threads, "loader", initializer=self._compute_alone)
        try:
            for keys in self.batch_sampler:
                waiting.append(pool.submit(self._load, idle, keys))
                if len(waiting) > _AHEAD * self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _libraries(self) -> ThreadpoolController:
        """The libraries that compute in threads; to find them takes as long as some images."""
        return ThreadpoolController()

    def _compute_alone(self) -> None:
        """Keep the libraries from starting threads of their own below this one.

        OpenCV knows one number for the whole process, which keeps it from here on.
        """
        cv2.setNumThreads(0)
        torch.get_num_threads()  # else PyTorch would set up the thread later and undo the limit
        self._libraries.limit(limits=1, user_api="openmp")

    def _load(self, idle: SimpleQueue[SplitDataset], keys: list[SampleKey]) -> Batch:
        dataset = idle.get()
        try:
            batch = dataset.__getitems__(keys)
        finally:
            idle.put(dataset)
        return tree_map(_pinned, batch) if self.pin_memory else batch


def _pinned(value: Any) -> Any:
    return value.pin_memory() if isinstance(value, Tensor) else value
