"""Tar archives with random access, compressed or not."""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from viewfinder.data.archive.checksums import how_to_fetch
from viewfinder.data.archive.compression import is_compressed, unpacked
from viewfinder.data.archive.container import (
    MemberNames,
    allowed_size,
    as_unicode,
    bomb,
    refusal,
)
from viewfinder.errors import ViewfinderError

_BLOCK = 512


class TarContainer:
    """The members of a tar archive.

    A plain one is read in place. A compressed one is unpacked once into a temporary file that has
    no name, so that nothing of it is left however the process ends.

    Args:
        path: The archive; the compression is recognised by its first bytes.

    Raises:
        ViewfinderError: If it is damaged, or has a member that is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _unpack(path) if is_compressed(path) else path.open("rb")
        try:
            self._members = _index(path, self._file)
        except BaseException:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def read(self, name: str) -> bytes:
        offset, size = self._members[name]
        content = os.pread(self._file.fileno(), size, offset)
        while len(content) < size:  # the kernel gives 2 GiB at most
            more = os.pread(self._file.fileno(), size - len(content), offset + len(content))
            if not more:
                raise ViewfinderError(f"{self._path}: {name!r} is damaged: it ends too early.")
            content += more
        return content

    def close(self) -> None:
        self._file.close()


def _unpack(path: Path) -> IO[bytes]:
    compressed = path.stat().st_size
    left = allowed_size(compressed)
    file = _temporary_file(path)
    try:
        for piece in unpacked(path):
            left -= len(piece)
            if left < 0:
                raise bomb(path, _last_name(file), compressed)
            file.write(piece)
        file.flush()
    except OSError as error:
        file.close()
        raise ViewfinderError(
            f"{path} can't be unpacked to a temporary file beside it: {error.strerror}. "
            "Make room there."
        ) from error
    except BaseException:
        file.close()
        raise
    return file


def _temporary_file(path: Path) -> IO[bytes]:
    """Open a nameless file on the data's own disk: ``/tmp`` is often small, or memory."""
    try:
        return tempfile.TemporaryFile(dir=path.parent.parent)
    except OSError:
        return tempfile.TemporaryFile()


def _index(path: Path, file: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Return offset and size of each member's content, by name."""
    size = os.fstat(file.fileno()).st_size
    names = MemberNames(path)
    members: dict[str, tuple[int, int]] = {}
    end = 0
    try:
        for member, following in _headers(file):
            end = following
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise refusal(path, member.name, "is a link, a device or a sparse file")
            if member.offset_data + member.size > size:
                raise _damaged(path, f"it ends within {member.name!r}")
            if (name := names.admit(member.name)) is not None:
                members[name] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from error
    # tarfile takes a damaged header for the end of the archive.
    if any(os.pread(file.fileno(), _BLOCK, end)):
        raise _damaged(path, f"no member begins at byte {end:,}")
    return members


def _headers(file: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each member's header, and where the next one begins."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep a kilobyte for each
            member.name = as_unicode(member.name)
            yield member, tar.offset


def _last_name(file: IO[bytes]) -> str:
    """Return the name of the last member that begins in an archive cut short."""
    name = "?"
    with suppress(tarfile.TarError):
        for member, _ in _headers(file):
            name = member.name
    return name


def _damaged(path: Path, reason: str) -> ViewfinderError:
    return ViewfinderError(
        f"{path} is not a whole tar archive: {reason}. {how_to_fetch(path.parent)}"
    )
