"""Zip archives, read in place."""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from viewfinder.data.archive.checksums import how_to_fetch
from viewfinder.data.archive.container import MemberNames, allowed_size, bomb, refusal
from viewfinder.errors import ViewfinderError

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


class ZipContainer:
    """The members of a zip archive.

    Args:
        path: The archive.

    Raises:
        ViewfinderError: If it is damaged, or has a member that is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ViewfinderError(
                f"{path} is not a zip archive: {error}. {how_to_fetch(path.parent)}"
            ) from error
        try:
            self._members = self._index()
        except BaseException:
            self._zip.close()
            raise

    def _index(self) -> dict[str, zipfile.ZipInfo]:
        names = MemberNames(self._path)
        members: dict[str, zipfile.ZipInfo] = {}
        compressed = self._path.stat().st_size
        total = 0
        for info in self._zip.infolist():
            raw = _name(info)
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise refusal(self._path, raw, "is a link or a device")
            if info.flag_bits & _ENCRYPTED:
                raise refusal(self._path, raw, "is encrypted")
            total += info.file_size
            if total > allowed_size(compressed):
                raise bomb(self._path, raw, compressed)
            if (name := names.admit(raw)) is not None:
                members[name] = info
        return members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ViewfinderError(f"{self._path}: {name!r} is damaged: {error}.") from error

    def close(self) -> None:
        self._zip.close()


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; many tools write UTF-8 without the flag that says so."""
    name = info.filename
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    # Older .NET writes the separator of Windows.
    return name if "/" in name else name.replace("\\", "/")
