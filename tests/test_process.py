"""How a process of ours runs."""

import gc
import subprocess
import sys

import pytest

from viewfinder.process import importing

ALLOCATE = """
import resource
import torch
from viewfinder.process import keep_freed_memory

def allocate_and_free():
    for _ in range(5):
        torch.ones(20_000_000)
        torch.ones(40_000_000)

{before}
allocate_and_free()
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
allocate_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


def cleared_pages(before: str) -> int:
    """Pages that the system cleared for a process which frees and allocates the same again."""
    words = [sys.executable, "-c", ALLOCATE.format(before=before)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc's malloc")
def test_freed_memory_is_used_again() -> None:
    assert cleared_pages("keep_freed_memory()") < 100 < 10_000 < cleared_pages("")


def test_nothing_is_collected_while_modules_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    frozen = gc.get_freeze_count()
    try:
        with importing():
            with importing():
                assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() == frozen  # there were no modules to keep
        with importing():
            import this  # noqa: F401
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
