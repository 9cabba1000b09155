"""Published data sets and the user's own: files from anywhere, unopened."""

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from viewfinder.data.sources.pack import archives_in, pack_folder
from viewfinder.data.transfer.download import Patience, download
from viewfinder.data.transfer.item import Item, default_name, parse_item, safe_url
from viewfinder.data.transfer.local import copy_file, fetched_before, is_local, local_path
from viewfinder.data.transfer.mirror import (
    VARIABLE,
    mirror_folder,
    mirror_url,
    no_mirror,
    only_in_mirror,
)
from viewfinder.data.transfer.partial import Partial, locked_partial
from viewfinder.data.transfer.progress import Meter, display
from viewfinder.data.transfer.remote import expand, is_pattern
from viewfinder.data.transfer.stream import UnavailableError
from viewfinder.errors import ViewfinderError
from viewfinder.workspace import root

_CACHE = Path(".cache", "viewfinder", "downloads")


def fetch(
    folder: Path,
    *,
    files: Sequence[Mapping[str, Any]],
    retries: int = 5,
    wait: float = 1.0,
    timeout: float = 30.0,
    cache: Path | None = None,
) -> None:
    """Write the files of a data set into a folder, unopened and checked.

    A file that another data set has already, by its checksum, is copied; else one of the same name
    in ``VIEWFINDER_MIRROR`` (a folder or an address) is taken first. A broken transfer is gone on
    with, by this call or by the next one.

    Args:
        folder: Where to write them.
        files: For each file ``url`` (``https://``, ``http://``, ``s3://``, ``gs://``, ``hf://``,
            ``file://``, a local path, from the project's folder if relative, or ``mirror:///name``
            for a file that only a mirror has) and optionally ``sha256`` or ``md5``, and ``name``.
            A local folder becomes one zip archive, but one that holds nothing else than archives
            and lists stands for these; a pattern such as
            ``hf://datasets/mnist/**/*.parquet`` stands for every file that fits it.
        retries: Tries in a row that may bring nothing new.
        wait: Seconds before the first of them; it doubles each time.
        timeout: Seconds without a byte after which a connection counts as broken.
        cache: Where broken transfers lie; None puts them into the checkout's ``.cache``.

    Raises:
        ViewfinderError: If an entry can't be read, or its file can't be had or has the wrong
            content.
    """
    patience = Patience(retries, wait, timeout)
    items = _unique([item for entry in files for item in _items(entry)])
    with display() as shown, ExitStack() as finished:
        arrived: list[tuple[Partial, Path]] = []
        for item in items:
            meter = shown.meter(item.name)
            target = folder / item.name
            if is_local(item.url):
                _take(item, target, meter)
                continue
            twin = fetched_before(item)
            if twin is not None:
                copy_file(twin, item, target, meter)
                continue
            if _copy_from_mirror(item, target, meter):
                continue
            if only_in_mirror(item.url) and mirror_url(item.name) is None:
                raise no_mirror(item.name)
            store = cache or root() / _CACHE
            partial = _receive(item, store, patience, meter, finished)
            arrived.append((partial, target))
        # Only now do files leave the cache: what has arrived outlives a failure of the next one.
        for partial, target in arrived:
            partial.move(target)


def _items(entry: Mapping[str, Any]) -> list[Item]:
    """Return the files that one entry stands for."""
    url = entry.get("url")
    if isinstance(url, str) and url and is_local(url):
        path = local_path(url)
        packed = archives_in(path) if path.is_dir() and set(entry) == {"url"} else []
        return [Item(str(file), file.name) for file in packed] or [_local_item(entry, path)]
    item = parse_item(entry)
    if not is_pattern(item.url):
        return [item]
    if entry.get("name") or item.checksum:
        raise ViewfinderError(
            f"{item.url} stands for several files: a `name` or a checksum can't be meant for all. "
            "Take it away, or list the files one by one."
        )
    found = expand(item.url)
    shared = posixpath.commonpath([posixpath.dirname(url) for url in found])
    return [Item(url, _flat_name(url, shared)) for url in found]


def _flat_name(url: str, shared: str) -> str:
    """Return a file name that keeps the folders below the one that all files share."""
    return default_name(posixpath.relpath(url, shared).replace("/", "-"))


def _local_item(entry: Mapping[str, Any], path: Path) -> Item:
    name = entry.get("name") or (f"{path.name}.zip" if path.is_dir() else path.name)
    item = parse_item({**entry, "url": str(path), "name": name})
    if path.is_dir() and (item.checksum or not item.name.endswith(".zip")):
        raise ViewfinderError(
            f"{path} is a folder and becomes one zip archive: it takes no checksum, and its `name` "
            f"must end in .zip; found {dict(entry)}."
        )
    return item


def _unique(items: list[Item]) -> list[Item]:
    names = [item.name for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ViewfinderError(
            f"The source has several files called {', '.join(twice)}. Give each a `name`."
        )
    if not items:
        raise ViewfinderError("The source has no files; expected `files: [{url: …}]`.")
    return items


def _take(item: Item, target: Path, meter: Meter) -> None:
    path = Path(item.url)
    if path.is_dir():
        pack_folder(path, target)
        meter.note(f"packed from {path} ({target.stat().st_size:,} bytes)")
    else:
        copy_file(path, item, target, meter)


def _copy_from_mirror(item: Item, target: Path, meter: Meter) -> bool:
    """Copy a file from a mirror that is a folder; return whether it was there."""
    mirror = mirror_folder()
    if mirror is None:
        return False
    if (mirror / item.name).is_file():
        copy_file(mirror / item.name, item, target, meter)
        return True
    if not only_in_mirror(item.url):
        meter.note(f"not in {VARIABLE} ({mirror}); trying {safe_url(item.url)}")
    return False


def _receive(
    item: Item, store: Path, patience: Patience, meter: Meter, finished: ExitStack
) -> Partial:
    """Bring a remote file into the cache, from a mirror that is an address if it has it."""
    mirror = mirror_url(item.name)
    for url in filter(None, (mirror, item.url)):
        there = replace(item, url=url)
        partial = finished.enter_context(locked_partial(store, there))
        try:
            download(there, partial, patience, meter)
        except UnavailableError as error:
            if only_in_mirror(item.url):
                raise no_mirror(item.name) from error
            if url != mirror:
                raise
            meter.note(f"not in {VARIABLE} ({error}); trying {safe_url(item.url)}")
            continue
        partial.close(whole=True)
        break
    return partial
