"""How much memory this process may still take."""

from pathlib import Path

import psutil

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


def available_memory() -> int:
    """Return the free memory of the machine, or of the container if it has less, in bytes."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int(path.read_text()) for path in (_LIMIT, _USED))
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, max(limit - used, 0))
