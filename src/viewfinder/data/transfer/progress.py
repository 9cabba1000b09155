"""What the user sees of a transfer: a bar in a terminal, a line elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TimeRemainingColumn(),
)


class Meter:
    """The progress of one file.

    Args:
        name: The file's name.
        bar: The bars in the terminal; None without a terminal.
    """

    def __init__(self, name: str, bar: Progress | None) -> None:
        self._name = name
        self._bar = bar
        self._task: TaskID | None = None
        self._since = time.monotonic()
        self._received = 0

    def begin(self, done: int, size: int | None, origin: str) -> None:
        """Say that ``done`` of ``size`` bytes are here, and where the others come from."""
        if self._bar is None:
            more = f", {decimal(done)} are here already" if done else ""
            total = decimal(size) if size is not None else "size unknown"
            self.note(f"fetching from {origin} ({total}{more})")
        elif self._task is None:
            self._task = self._bar.add_task(self._name, total=size, completed=done)
        else:
            self._bar.update(self._task, total=size, completed=done)

    def advance(self, count: int) -> None:
        """Count bytes that arrived."""
        self._received += count
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)

    def note(self, text: str) -> None:
        """Say something about the file."""
        line = f"{self._name}: {text}"
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def end(self, checked: str) -> None:
        """Say that the file is here, and how it was checked."""
        seconds = max(time.monotonic() - self._since, 1e-3)
        rate = decimal(int(self._received / seconds))
        self.note(f"{decimal(self._received)} in {seconds:.1f} s ({rate}/s), {checked}")


class Display:
    """Makes a meter for each file.

    Args:
        bar: The bars in the terminal; None without a terminal.
    """

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar

    def meter(self, name: str) -> Meter:
        """Return the meter of a file."""
        return Meter(name, self._bar)


@contextmanager
def display() -> Iterator[Display]:
    """Show transfers on the standard error stream."""
    if not sys.stderr.isatty():
        yield Display(None)
        return
    with Progress(*_COLUMNS, console=Console(stderr=True), transient=True) as bar:
        yield Display(bar)
