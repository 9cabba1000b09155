"""Files that are on this machine already: the user's own, and those of a mirror."""

import glob
import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from viewfinder.data.schema import raw_path
from viewfinder.data.transfer.download import wrong_checksum
from viewfinder.data.transfer.item import Item
from viewfinder.data.transfer.progress import Meter
from viewfinder.errors import ViewfinderError
from viewfinder.workspace import ADDED, project_dir, root

_CHUNK = 2**20


def local_path(url: str) -> Path:
    """Return the file or folder that a source without a server names.

    A relative path counts from the project, else from the user's checkout, so that it holds inside
    ``dvc exp run --temp`` too.

    Args:
        url: A path or a ``file://`` address.

    Raises:
        ViewfinderError: If there is nothing.
    """
    text = unquote(urlsplit(url).path) if url.startswith("file://") else url
    given = Path(text).expanduser()
    for path in (project_dir() / given, root() / given):
        if path.exists():
            return path.resolve()
    raise ViewfinderError(
        f"{given} does not exist; expected a file or a folder. Correct the `url` in the data set's "
        "source; a relative path counts from the project's folder."
    )


def is_local(url: str) -> bool:
    """Return whether a source is on this machine."""
    return "://" not in url or url.startswith("file://")


def fetched_before(item: Item) -> Path | None:
    """Return the same file from another data set or `viewfinder add`, known by its checksum."""
    if item.checksum is None:
        return None
    folders = (project_dir() / raw_path(item.name).parent, root() / ADDED)
    name = glob.escape(item.name)
    for path in sorted(path for folder in folders for path in folder.glob(f"*/{name}")):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, item.checksum.algorithm)
        if found.hexdigest() == item.checksum.value:
            return path
    return None


def copy_file(source: Path, item: Item, target: Path, meter: Meter) -> None:
    """Copy a file, and check it on the way.

    Args:
        source: The file.
        item: What it should be.
        target: Where to write it.
        meter: Where progress is shown.

    Raises:
        ViewfinderError: If its content is not the expected one.
    """
    algorithm = item.checksum.algorithm if item.checksum else "sha256"
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    meter.begin(0, source.stat().st_size, str(source))
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
            meter.advance(len(chunk))
    if item.checksum and hasher.hexdigest() != item.checksum.value:
        size = target.stat().st_size
        target.unlink()
        raise wrong_checksum(str(source), item, hasher.hexdigest(), size, "")
    meter.end(f"{algorithm} as expected" if item.checksum else "no checksum given")
