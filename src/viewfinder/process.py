"""How a process of ours runs: whose code, how its threads wait, what becomes of freed memory."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from viewfinder.errors import ViewfinderError
from viewfinder.workspace import project_dir

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**30


def prepare() -> None:
    """Set what libraries read when they are imported, and how the process ends and allocates."""
    # OpenMP threads that wait: by default they spin so long that a second process on the same
    # cores starves; without any spin they wake so late that one core would be faster.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process and its children use freed memory again instead of giving it back.

    Every step of a training frees tensors of many megabytes and asks for as many. By default glibc
    returns such memory to the system, which then has to clear each page of it once more: 5 to 25 %
    of a step on two cores (``benchmarks/freed_memory.py``). Systems with another C library are left
    as they are.
    """
    if sys.platform != "linux":
        return
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None and adjust(_MMAP_THRESHOLD, _KEPT_BYTES):
        adjust(_TRIM_THRESHOLD, _KEPT_BYTES)


@contextmanager
def importing() -> Iterator[None]:
    """Import without garbage collection, for what is done inside the block.

    Modules are hundreds of thousands of objects that stay, and collections would visit all of them
    time and again: an eighth of what PyTorch and Lightning take to be imported goes into it, and a
    third of MLflow's start and end. Where modules came, neither later collections nor the exit
    visit what there is by then. Blocks may be nested.
    """
    modules, was_enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if was_enabled:
            gc.enable()


def _terminate(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def start_with_code_of_checkout() -> None:
    """Start again where the checkout holds other code than the installed one.

    ``dvc exp run --queue`` works in a copy of the checkout, and promises to run what is in it.
    """
    try:
        source = project_dir() / "src"
    except ViewfinderError:
        return
    package = source / "viewfinder"
    if not package.is_dir() or package.samefile(Path(__file__).parent):
        return
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{source}{os.pathsep}{inherited}" if inherited else str(source)
    os.execv(sys.executable, [sys.executable, "-m", "viewfinder", *sys.argv[1:]])
