"""Files over HTTP, from any position on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote

from viewfinder import __version__
from viewfinder.data.transfer.item import safe_url
from viewfinder.data.transfer.stream import Interrupted, Stream, UnavailableError
from viewfinder.errors import ViewfinderError

_CHUNK = 2**20
_TRANSIENT = {408, 425, 429}
_UNSATISFIABLE = 416
_RESERVED = "!#$%&'()*+,/:;=?@[]~"


@contextmanager
def open_http(url: str, start: int, version: str | None, timeout: float) -> Iterator[Stream]:
    """Open an address at a position.

    Args:
        url: The address, http or https.
        start: Position to begin at; the stream begins at 0 if the server can't or the file is
            of another version.
        version: The ETag or date that the first part came with.
        timeout: Seconds without a byte after which the connection counts as broken.

    Raises:
        Interrupted: If the server can't be reached or is in trouble.
        UnavailableError: If it refuses the file for good.
    """
    file = _get(url, start, version, timeout)
    if start and file is not None and not _goes_on(file.r, start, version):
        file.close()
        file = _get(url, 0, None, timeout)
    if file is None:
        yield Stream(iter(()), start, start, version)
        return
    try:
        yield _stream(file, start)
    finally:
        file.close()


def _get(url: str, start: int, version: str | None, timeout: float) -> Any:
    """Return fsspec's streaming file, whose ``r`` is the response; None if it ends at ``start``."""
    import aiohttp

    # Compression on the way would make positions and lengths mean something else.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"viewfinder/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if version:
            headers["If-Range"] = version
    try:
        # `size` keeps fsspec from asking for it, `block_size=0` from splitting the file.
        files = _filesystem(timeout)
        return files.open(quote(url, _RESERVED), "rb", block_size=0, size=1, headers=headers)
    except FileNotFoundError as error:
        raise UnavailableError(_refused(url, "404 Not Found")) from error
    except aiohttp.ClientResponseError as error:
        if error.status == _UNSATISFIABLE and start:
            ends_here = _header(error, "Content-Range") == f"bytes */{start}"
            return None if ends_here else _get(url, 0, None, timeout)
        reason = f"{error.status} {error.message}"
        if error.status >= 500 or error.status in _TRANSIENT:
            raise Interrupted(f"the server answered {reason}", _retry_after(error)) from error
        raise UnavailableError(_refused(url, reason)) from error
    except (aiohttp.ClientSSLError, aiohttp.InvalidURL, ValueError) as error:
        raise ViewfinderError(f"{safe_url(url)} can't be fetched: {error}.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Interrupted(_describe(error)) from error


@cache
def _filesystem(timeout: float) -> Any:
    import aiohttp
    import fsspec

    return fsspec.filesystem(
        "http",
        encoded=True,
        skip_instance_cache=True,
        client_kwargs={
            # No limit on the whole: a large file takes hours.
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
            # A .tar.gz is often sent as an encoding of a .tar; it is wanted as it lies there.
            "auto_decompress": False,
            "trust_env": True,  # proxies
        },
    )


def _goes_on(response: Any, start: int, version: str | None) -> bool:
    """Return whether the server sends the rest of the very file that was begun."""
    if response.status != 206:
        return response.status == 200  # from the start, as `_stream` sees
    span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    marks = {response.headers.get(key) for key in ("ETag", "Last-Modified")} - {None}
    same = version is None or not marks or version in marks
    return span is not None and int(span[1]) == start and same


def _stream(file: Any, start: int) -> Stream:
    response = file.r
    partial = response.status == 206
    start = start if partial else 0
    length = response.headers.get("Content-Length")
    size = start + int(length) if length is not None and length.isdigit() else None
    if partial:
        total = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
        size = int(total[1]) if total else size
    return Stream(_chunks(file), start, size, _version(response))


def _chunks(file: Any) -> Iterator[bytes]:
    import aiohttp

    while True:
        try:
            chunk = file.read(_CHUNK)
        except (aiohttp.ClientError, OSError) as error:
            raise Interrupted(_describe(error)) from error
        if not chunk:
            return
        yield chunk


def _version(response: Any) -> str | None:
    """Return what ``If-Range`` accepts: a strong ETag, else the date."""
    etag: str | None = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    date: str | None = response.headers.get("Last-Modified")
    return date


def _retry_after(error: Any) -> float:
    value = _header(error, "Retry-After")
    return float(value) if value.isdigit() else 0.0


def _header(error: Any, key: str) -> str:
    return str(error.headers.get(key, "")) if error.headers else ""


def _describe(error: BaseException) -> str:
    import aiohttp

    if isinstance(error, TimeoutError):
        return "the server sent nothing in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port} ({error.os_error})"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "the connection broke off"
    return str(error) or type(error).__name__


def _refused(url: str, reason: str) -> str:
    return (
        f"{safe_url(url)} can't be fetched: the server answered {reason}. Correct the `url` in the "
        "data set's source, or put the file into a folder and name that in VIEWFINDER_MIRROR."
    )
