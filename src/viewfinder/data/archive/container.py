"""What every kind of file offers to :class:`~viewfinder.data.archive.Archive`."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from viewfinder.errors import ViewfinderError

MAX_EXPANSION = 250
"""How many times its compressed size an archive may unpack to.

Photographs stay below 2, the emptiest masks and label files of real data sets below 100.
"""

FREE_EXPANSION = 2**30
"""Bytes that any archive may unpack to, however small it is."""

_JUNK = {"__MACOSX", ".DS_Store"}
_DRIVE = re.compile(r"[A-Za-z]:")


class Container(Protocol):
    """One file of a data set, and the members in it."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the members, in the file's order."""

    def read(self, name: str) -> bytes:
        """Return the content of a member that is known to exist."""

    def close(self) -> None:
        """Let go of the file."""


class MemberNames:
    """The names of an archive's members, each checked as it comes.

    Args:
        path: The archive, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[str] = set()

    def admit(self, name: str) -> str | None:
        """Return a name's plain, composed (NFC) form, or None for an operating system's litter.

        Raises:
            ViewfinderError: If the name leads out of the archive or was there before.
        """
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or _DRIVE.match(name):
            raise refusal(self._path, name, "leads out of the archive")
        if _JUNK.intersection(parts) or parts[-1].startswith("._"):
            return None
        name = unicodedata.normalize("NFC", name)
        plain = "/".join(part for part in name.split("/") if part not in ("", "."))
        if not plain:
            raise refusal(self._path, name, "has no name")
        if plain in self._seen:
            raise refusal(self._path, plain, "is in the archive more than once")
        self._seen.add(plain)
        return plain


def refusal(path: Path, member: str, reason: str) -> ViewfinderError:
    """Return the error for a member that no archive of images should have."""
    return ViewfinderError(
        f"{path}: the member {member!r} {reason}. The archive is refused; expected plain files "
        "below its top folder. Repack it without this member and name the new file as the source."
    )


def allowed_size(compressed: int) -> int:
    """Return the number of bytes that an archive of ``compressed`` bytes may unpack to."""
    return max(FREE_EXPANSION, MAX_EXPANSION * compressed)


def bomb(path: Path, member: str, compressed: int) -> ViewfinderError:
    """Return the error for an archive that unpacks to more than any real one does."""
    return ViewfinderError(
        f"{path}: unpacks to more than {allowed_size(compressed):,} bytes, from {compressed:,}; "
        f"the limit was passed at the member {member!r}. The archive is refused as a "
        f"decompression bomb. If it is sound, raise MAX_EXPANSION in {Path(__file__).name}."
    )


def as_unicode(name: str) -> str:
    """Return a name that is valid Unicode even if it was not written in UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name
