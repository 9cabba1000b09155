"""What a transfer reads from, and how it may fail."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from viewfinder.errors import ViewfinderError


@dataclass(frozen=True)
class Stream:
    """The rest of a remote file.

    Attributes:
        chunks: The bytes from ``start`` to the end; raises :class:`Interrupted`.
        start: Position of the first byte; 0 where the file has to be read anew.
        size: Bytes of the whole file; None if the server does not say.
        version: A mark that changes with the file's content; None if there is none.
    """

    chunks: Iterator[bytes]
    start: int
    size: int | None
    version: str | None


Opener = Callable[[int, str | None], AbstractContextManager[Stream]]
"""Opens a remote file at a position, provided that it still is of a version."""


class Interrupted(Exception):  # noqa: N818  a state to go on from, not yet an error
    """A transfer broke in a way that another try may mend.

    Args:
        reason: What happened.
        wait: Seconds that the server asked to wait before another try.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class UnavailableError(ViewfinderError):
    """A file can't be had from its address: it is not there, not for us, or out of reach."""
