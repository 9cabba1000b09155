"""The part of a file that has arrived, kept so that another process can go on."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from viewfinder.data.transfer.item import ALGORITHMS, Algorithm, Item

_CHUNK = 2**20


class Partial:
    """A growing file, its hashes, and the version of the remote file that it is a part of.

    Args:
        path: Where the bytes lie; the version lies beside it.

    Attributes:
        path: Where the bytes lie.
        size: Bytes that have arrived.
        version: The remote file's version mark, if it has one.
        continued: Whether the bytes came over more than one connection.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_suffix(".json")
        self.version = self._read_version()
        self.size = 0
        self.continued = False
        self._hashes = _new_hashes()
        self._file = path.open("a+b")
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._count(chunk)

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        self._file.write(chunk)
        self._count(chunk)

    def restart(self, version: str | None) -> None:
        """Forget all bytes, and begin a file of this version."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self.continued = False
        self._hashes = _new_hashes()
        self.version = version
        self._note.write_text(json.dumps({"version": version}), encoding="utf-8")

    def digest(self, algorithm: Algorithm) -> str:
        """Return the hash of the bytes that have arrived, in hexadecimal."""
        return self._hashes[algorithm].hexdigest()

    def head(self, count: int) -> bytes:
        """Return the first bytes."""
        self._file.flush()
        with self.path.open("rb") as file:
            return file.read(count)

    def discard(self) -> None:
        """Remove what has arrived."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def move(self, target: Path) -> None:
        """Give the whole file its place."""
        self._file.close()
        shutil.move(self.path, target)
        self._note.unlink(missing_ok=True)

    def close(self, *, whole: bool = False) -> None:
        """Write what is still in memory; the file stays for another process.

        Args:
            whole: Whether all has arrived; else an empty file does not stay.
        """
        self._file.close()
        if not self.size and not whole:
            self.discard()

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        for hasher in self._hashes.values():
            hasher.update(chunk)

    def _read_version(self) -> str | None:
        try:
            note: dict[str, Any] = json.loads(self._note.read_text(encoding="utf-8"))
            return note["version"]
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _new_hashes() -> dict[Algorithm, Any]:
    return {name: hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS}


@contextmanager
def locked_partial(cache: Path, item: Item) -> Iterator[Partial]:
    """Open the part of a file that has arrived, while no other process writes to it.

    Args:
        cache: The folder of broken and finished transfers.
        item: The file.
    """
    key = hashlib.sha256(f"{item.url}\n{item.name}".encode()).hexdigest()[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{key}.lock"):
        partial = Partial(cache / f"{key}.part")
        try:
            yield partial
        finally:
            partial.close()
