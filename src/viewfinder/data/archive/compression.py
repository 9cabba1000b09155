"""Compressed streams: recognised by their first bytes, unpacked up to a limit."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Protocol

from viewfinder.data.archive.checksums import how_to_fetch
from viewfinder.errors import ViewfinderError

_CHUNK = 2**20


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


_Opener = Callable[[BinaryIO], _Stream]
_OPENERS: dict[bytes, _Opener] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}


def is_compressed(path: Path) -> bool:
    """Return whether a file begins like gzip, bzip2 or xz."""
    return _opener(path) is not None


def unpacked(path: Path) -> Iterator[bytes]:
    """Yield the content of a gzip, bzip2 or xz file, piece by piece.

    Raises:
        ViewfinderError: If the file is none of them, or damaged.
    """
    opener = _opener(path)
    again = how_to_fetch(path.parent)
    if opener is None:
        raise ViewfinderError(f"{path} is not compressed with gzip, bzip2 or xz. {again}")
    with path.open("rb") as file, closing(opener(file)) as stream:
        while True:
            try:
                piece = stream.read(_CHUNK)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise ViewfinderError(f"{path} is damaged: {error}. {again}") from error
            if not piece:
                return
            yield piece


def _opener(path: Path) -> _Opener | None:
    with path.open("rb") as file:
        head = file.read(6)
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
