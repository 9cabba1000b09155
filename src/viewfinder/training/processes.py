"""The further processes of a training that is one job of a sweep."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import read_write

# What Lightning sets when it starts them, and leaves.
_VARIABLES = (
    "LOCAL_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NODE_RANK",
    "OMP_NUM_THREADS",
    "WORLD_SIZE",
)
_SWEEPING = ("-m", "--multirun")


@contextmanager
def job_of_sweep(arguments: Sequence[str]) -> Iterator[None]:
    """Let the further processes that start inside the block train along with this job alone.

    Lightning starts them with the words of this process, which would sweep once more, and in the
    run's folder, which a job of a sweep has not. After the block nothing is left of them, so that
    the next job has its own.

    Args:
        arguments: The words behind the program's name that began the sweep.
    """
    own: Any = HydraConfig.get()
    with read_write(own):
        own.run.dir = own.runtime.output_dir
    before = {name: os.environ.get(name) for name in _VARIABLES}
    words, threads = sys.argv, torch.get_num_threads()
    flags = [word for word in arguments if word not in _SWEEPING and not _is_override(word)]
    hydra = [word for word in own.overrides.hydra if not word.startswith("hydra.mode=")]
    sys.argv = [words[0], *flags, *own.overrides.task, *hydra]
    try:
        yield
    finally:
        sys.argv = words
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))
