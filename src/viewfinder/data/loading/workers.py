"""Who loads the data: the training process, threads of it, or other processes."""

import os
import sys
import time
from typing import Literal, Protocol

import cv2
import numpy as np
import pyarrow.compute as pc

from viewfinder.data.loading.sampler import SampleKey
from viewfinder.data.loading.split_file import SplitFile

WorkerCount = int | Literal["auto"]
WorkerType = Literal["auto", "thread", "process"]

_PROBES = 16
_PROBE_SECONDS = 0.2
# Below this a pass over the data takes less than starting and feeding processes costs.
_WORTH_SECONDS = 2.0
_MOST = 16
# Of smaller images Python itself is most of the work, in which threads take turns.
_WORTH_THREADS = 256 * 256  # pixels


class Fetches(Protocol):
    """A data set that loads batches by their keys."""

    def __len__(self) -> int: ...

    def __getitems__(self, keys: list[SampleKey]) -> object: ...


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(data: Fetches, *, accelerated: bool) -> int:
    """Choose the number of workers by a short measurement.

    A few images are loaded here. If all of them would take less than about two seconds, the
    training process loads them itself, since starting others would take longer. Otherwise every
    core loads where an accelerator trains, and half of them where the cores themselves do.

    Args:
        data: The data set.
        accelerated: Whether the training runs on an accelerator.
    """
    cores = available_cores()
    if cores < 2 or _seconds(data) < _WORTH_SECONDS:
        return 0
    return min(cores if accelerated else cores // 2, _MOST)


def in_threads(kind: WorkerType, split: SplitFile, *, decoding: bool, accelerated: bool) -> bool:
    """Tell whether threads shall load instead of processes.

    Unless told, threads load images large enough for the decoder to be most of the work, where the
    training runs on the same cores. An accelerator is fed by more workers than Python can serve.

    Args:
        kind: What the user wants.
        split: The images.
        decoding: Whether they are decoded anew each time.
        accelerated: Whether the training runs on an accelerator.
    """
    if kind != "auto":
        return kind == "thread"
    if accelerated or not decoding:
        return False
    pixels = pc.multiply(
        split.table.column("height").cast("int64"), split.table.column("width").cast("int64")
    )
    return bool(pc.mean(pixels).as_py() >= _WORTH_THREADS)


def _seconds(data: Fetches) -> float:
    """Return about how long one process takes for all images."""
    picked = np.unique(np.linspace(0, len(data) - 1, _PROBES).astype(int)).tolist()
    data.__getitems__([(0, picked[0])])  # the first call imports and allocates
    start = time.perf_counter()
    loaded = 0
    for index in picked:
        data.__getitems__([(0, index)])
        loaded += 1
        if time.perf_counter() - start > _PROBE_SECONDS:
            break
    return (time.perf_counter() - start) / loaded * len(data)


def start_method() -> str | None:
    """Return how processes start: forked on Linux, which takes a twentieth of the time."""
    return "fork" if sys.platform == "linux" else None


def one_thread(worker: int) -> None:
    """Keep a worker from starting threads beside the others; PyTorch sees to its own."""
    cv2.setNumThreads(0)
