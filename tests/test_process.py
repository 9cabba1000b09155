"""How a process of ours runs."""

import subprocess
import sys

import pytest

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
