"""One remote file into the cache: tried again, gone on with, and checked."""

import shutil
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from viewfinder.data.transfer.http import open_http
from viewfinder.data.transfer.item import Item, safe_url
from viewfinder.data.transfer.partial import Partial
from viewfinder.data.transfer.progress import Meter
from viewfinder.data.transfer.remote import open_remote
from viewfinder.data.transfer.stream import Interrupted, Opener, UnavailableError
from viewfinder.errors import ViewfinderError

_LONGEST_WAIT = 60.0
_PAGE = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        retries: Tries in a row that may bring nothing new.
        wait: Seconds before the first of them; it doubles each time.
        timeout: Seconds without a byte after which a connection counts as broken.
    """

    retries: int = 5
    wait: float = 1.0
    timeout: float = 30.0


def download(item: Item, partial: Partial, patience: Patience, meter: Meter) -> None:
    """Complete what has arrived of a file, and check it.

    Args:
        item: The file.
        partial: What has arrived; whole and correct when this returns.
        patience: How long to bear with the server.
        meter: Where progress is shown.

    Raises:
        UnavailableError: If the server does not give the file.
        ViewfinderError: If the transfer breaks too often, or brings the wrong content.
    """
    if item.checksum and partial.size and _matches(item, partial):
        meter.note("it is here already")
        return
    source = _opener(item.url, patience.timeout)
    _persist(item, source, partial, patience, meter)
    if partial.continued and item.checksum and not _matches(item, partial):
        meter.note("the parts of the broken transfer do not fit together; starting again")
        partial.restart(None)
        _persist(item, source, partial, patience, meter)
    _check(item, partial)
    meter.end(f"{item.checksum.algorithm} as expected" if item.checksum else "no checksum given")


def _opener(url: str, timeout: float) -> Opener:
    if urlsplit(url).scheme in ("http", "https"):
        return lambda start, version: open_http(url, start, version, timeout)
    return lambda start, version: open_remote(url, start, version)


def _persist(
    item: Item, source: Opener, partial: Partial, patience: Patience, meter: Meter
) -> None:
    """Receive until the end, trying again for as long as it helps."""
    failures = 0
    most = partial.size
    while True:
        try:
            _receive(item, source, partial, meter)
            return
        except Interrupted as stop:
            failures = 1 if partial.size > most else failures + 1
            most = max(most, partial.size)
            if failures > patience.retries:
                raise _gave_up(item, partial, stop, failures) from stop
            wait = min(max(stop.wait, patience.wait * 2 ** (failures - 1)), _LONGEST_WAIT)
            meter.note(f"{stop}; trying again in {wait:.3g} s")
            time.sleep(wait)


def _gave_up(item: Item, partial: Partial, stop: Interrupted, failures: int) -> UnavailableError:
    kept = (
        f"{partial.size:,} bytes have arrived and are kept; the same command goes on from there."
        if partial.size
        else "Nothing has arrived. Check the `url` in the data set's source and the network."
    )
    tries = "once" if failures == 1 else f"{failures} times in a row"
    return UnavailableError(f"{safe_url(item.url)} can't be fetched: {stop}, {tries}. {kept}")


def _receive(item: Item, source: Opener, partial: Partial, meter: Meter) -> None:
    # Without a checksum only the server's mark tells that the file is still the same.
    start = partial.size if partial.version or item.checksum else 0
    with source(start, partial.version) as stream:
        if stream.start == 0:
            partial.restart(stream.version)
        else:
            partial.continued = True
        _check_room(item, stream.size, partial)
        meter.begin(partial.size, stream.size, safe_url(item.url))
        for chunk in stream.chunks:
            partial.append(chunk)
            meter.advance(len(chunk))
    if stream.size is not None and partial.size < stream.size:
        raise Interrupted(f"the transfer ended after {partial.size:,} of {stream.size:,} bytes")


def _check_room(item: Item, size: int | None, partial: Partial) -> None:
    free = shutil.disk_usage(partial.path.parent).free
    if size is not None and size - partial.size > free:
        raise ViewfinderError(
            f"{safe_url(item.url)} needs {size - partial.size:,} more bytes in "
            f"{partial.path.parent}; {free:,} are free. Make room on that disk."
        )


def _matches(item: Item, partial: Partial) -> bool:
    checksum = item.checksum
    return checksum is None or partial.digest(checksum.algorithm) == checksum.value


def _check(item: Item, partial: Partial) -> None:
    is_page = partial.head(64).lstrip().lower().startswith(_PAGE)
    page = " The server sent a web page; the address may need a login." if is_page else ""
    if item.checksum is None:
        if is_page and not item.name.lower().endswith((".html", ".htm")):
            partial.discard()
            raise ViewfinderError(f"{safe_url(item.url)} is not {item.name!r}.{page}")
        return
    if _matches(item, partial):
        return
    found = partial.digest(item.checksum.algorithm)
    size = partial.size
    partial.discard()
    raise wrong_checksum(safe_url(item.url), item, found, size, page)


def wrong_checksum(origin: str, item: Item, found: str, size: int, hint: str) -> ViewfinderError:
    """Return the error for a file whose content is not the expected one."""
    assert item.checksum is not None
    name = item.checksum.algorithm
    return ViewfinderError(
        f"{origin} has the wrong content: the {name} of its {size:,} bytes is {found}, expected "
        f"{item.checksum.value}.{hint} Nothing of it was kept. Try again; if it stays so, ask the "
        f"authors whether the file changed, and correct `{name}` in the data set's source."
    )
