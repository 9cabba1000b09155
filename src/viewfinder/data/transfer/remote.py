"""Files on anything that fsspec knows: ``s3://``, ``gs://``, ``hf://`` and more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from viewfinder.data.transfer.item import safe_url
from viewfinder.data.transfer.stream import Interrupted, Stream, UnavailableError
from viewfinder.errors import ViewfinderError

_CHUNK = 2**20
_CLOUD = {  # the library for a protocol, and the extra of this package that brings it
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
}
_VERSION_KEYS = ("ETag", "etag", "blob_id", "md5Hash", "LastModified", "mtime", "created")
_MAGIC = "*?["


@contextmanager
def open_remote(url: str, start: int, version: str | None) -> Iterator[Stream]:
    """Open a remote file at a position.

    Args:
        url: The address.
        start: Position to begin at; the stream begins at 0 if the file is of another version.
        version: The mark of the version that the first part came from.

    Raises:
        Interrupted: If the transfer breaks.
        UnavailableError: If there is no such file, or no permission to read it.
        ViewfinderError: If the library for this kind of address is not installed.
    """
    files = filesystem(url)
    with _explained(url):
        info = files.info(url)
        found = next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), None)
        start = start if found is not None and found == version else 0
        file = files.open(url, "rb")
    with file:
        yield Stream(_chunks(file, start, url), start, info.get("size"), found)


def expand(url: str) -> list[str]:
    """Return the addresses that a pattern such as ``hf://datasets/…/*.parquet`` stands for.

    Raises:
        UnavailableError: If there is none, or the server can't be asked.
    """
    files = filesystem(url)
    try:
        with _explained(url):
            found = sorted(files.unstrip_protocol(path) for path in files.glob(url))
    except Interrupted as error:
        raise UnavailableError(f"{safe_url(url)}: its files can't be listed: {error}.") from error
    if not found:
        raise UnavailableError(f"{safe_url(url)}: no file fits this pattern. Correct the `url`.")
    return found


def is_pattern(url: str) -> bool:
    """Return whether an address has wildcards in it; in http a ``?`` begins the query."""
    remote = urlsplit(url).scheme not in ("", "http", "https", "file")
    return remote and any(sign in url for sign in _MAGIC)


def filesystem(url: str) -> Any:
    """Return fsspec's file system for an address.

    Raises:
        ViewfinderError: If the library for it is missing, or nothing knows its protocol.
    """
    import fsspec

    protocol = urlsplit(url).scheme
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        library, extra = _CLOUD.get(protocol, (str(error), None))
        mend = f"Install it with `pip install -e '.[{extra}]'`." if extra else "Install it."
        raise ViewfinderError(
            f"{safe_url(url)}: {protocol}:// needs a library that is not installed: {library}. "
            f"{mend}"
        ) from error
    except ValueError as error:
        raise ViewfinderError(
            f"{safe_url(url)}: {protocol}:// is unknown; expected https://, http://, s3://, gs://, "
            "hf:// or a local path."
        ) from error


def _chunks(file: Any, start: int, url: str) -> Iterator[bytes]:
    with _explained(url):
        file.seek(start)
    while True:
        with _explained(url):
            chunk = file.read(_CHUNK)
        if not chunk:
            return
        yield chunk


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Tell what another try may mend from what it can't."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UnavailableError(
            f"{safe_url(url)} can't be fetched: {error or type(error).__name__}. Correct the `url` "
            "in the data set's source, or log in where the data need it."
        ) from error
    except OSError as error:
        raise Interrupted(str(error) or type(error).__name__) from error
    except Exception as error:  # each cloud's library has errors of its own
        raise ViewfinderError(
            f"{safe_url(url)} can't be fetched: {type(error).__name__}: {error}"
        ) from error
