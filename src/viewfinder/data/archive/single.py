"""Files with one member: compressed ones, and those that are members as they are."""

from collections.abc import Iterator
from pathlib import Path

from viewfinder.data.archive.compression import unpacked
from viewfinder.data.archive.container import allowed_size, bomb


class CompressedFile:
    """A gzip, bzip2 or xz file; its member is called as it is without the last suffix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[str]:
        yield self._path.stem

    def read(self, name: str) -> bytes:
        compressed = self._path.stat().st_size
        content = bytearray()
        for piece in unpacked(self._path):
            content += piece
            if len(content) > allowed_size(compressed):
                raise bomb(self._path, name, compressed)
        return bytes(content)

    def close(self) -> None:
        pass


class PlainFile:
    """Any other file (Parquet, CSV, an image), under its own name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[str]:
        yield self._path.name

    def read(self, name: str) -> bytes:
        return self._path.read_bytes()

    def close(self) -> None:
        pass
