"""One file of a published data set, as ``conf/dataset`` names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from viewfinder.data.archive import CHECKSUMS
from viewfinder.errors import ViewfinderError

Algorithm = Literal["sha256", "md5"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_DIGITS: Mapping[Algorithm, int] = {"sha256": 64, "md5": 32}
_KEYS = ("url", "name", *ALGORITHMS)


@dataclass(frozen=True)
class Checksum:
    """What a file's content must hash to.

    Attributes:
        algorithm: The hash function.
        value: The expected hash, in lower-case hexadecimal.
    """

    algorithm: Algorithm
    value: str


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        url: Address or local path.
        name: File name to store it under.
        checksum: What its content must hash to; None accepts anything.
    """

    url: str
    name: str
    checksum: Checksum | None = None


def parse_item(entry: Mapping[str, Any]) -> Item:
    """Read one entry of a source's ``files``.

    Args:
        entry: ``url``, and optionally ``name`` and ``sha256`` or ``md5``.

    Raises:
        ViewfinderError: If a key is unknown, or a value can't be what its key says.
    """
    unknown = sorted(str(key) for key in set(entry) - set(_KEYS))
    url = entry.get("url")
    if unknown or not isinstance(url, str) or not url:
        raise ViewfinderError(
            f"The source's file {dict(entry)} can't be read: expected `url` and optionally "
            f"{', '.join(f'`{key}`' for key in _KEYS[1:])}"
            + (f"; found the unknown {', '.join(unknown)}." if unknown else ".")
        )
    name = entry.get("name")
    if name is not None:
        _check_name(str(name), url)
    return Item(url, str(name) if name is not None else default_name(url), _checksum(entry))


def default_name(url: str) -> str:
    """Return the file name at the end of an address.

    Raises:
        ViewfinderError: If it ends in none that a file could have.
    """
    path = unquote(urlsplit(url).path) if "://" in url else url
    name = PurePosixPath(path).name
    _check_name(name, url)
    return name


def safe_url(url: str) -> str:
    """Return an address without its password and query, which may hold secrets."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _check_name(name: str, url: str) -> None:
    if name in ("", ".", "..", CHECKSUMS) or re.search(r"[/\\\x00-\x1f]", name):
        raise ViewfinderError(
            f"{safe_url(url)} would be stored as {name!r}, which is no file name to use. "
            "Give the file a `name` in the data set's source."
        )


def _checksum(entry: Mapping[str, Any]) -> Checksum | None:
    given = [algorithm for algorithm in ALGORITHMS if entry.get(algorithm) is not None]
    if not given:
        return None
    algorithm = given[0]
    value = str(entry[algorithm]).strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", value):
        raise ViewfinderError(
            f"{safe_url(str(entry['url']))}: its {algorithm} is {value!r}; expected "
            f"{_DIGITS[algorithm]} hexadecimal digits, in quotes."
        )
    return Checksum(algorithm, value)
