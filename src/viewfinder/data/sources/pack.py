"""A folder as one zip archive whose bytes depend on the files alone, or as its archives."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from viewfinder.data.archive import CHECKSUMS
from viewfinder.data.archive.container import as_unicode
from viewfinder.data.archive.opening import is_packed
from viewfinder.data.readers.members import is_image
from viewfinder.data.sources.zip_writer import EPOCH
from viewfinder.errors import ViewfinderError

_LITTER = {"Thumbs.db", "desktop.ini", "__MACOSX"}


def pack_folder(folder: Path, target: Path) -> None:
    """Write the files of a folder to a zip archive, in the order of their names.

    Hidden files and folders (``.git``, ``.DS_Store``) stay out; links are followed. Neither the
    clock nor the owner is recorded, so the same files give the same archive anywhere.

    Args:
        folder: The folder.
        target: The archive to write.

    Raises:
        ViewfinderError: If the folder has no files, or a link leads nowhere.
    """
    members = sorted(_files(folder))
    if not members:
        raise ViewfinderError(f"{folder} holds no files; expected images below it.")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in members:
            info = zipfile.ZipInfo(name, date_time=EPOCH)
            info.file_size = path.stat().st_size
            with path.open("rb") as reader, archive.open(info, "w") as writer:
                shutil.copyfileobj(reader, writer, 2**20)


def archives_in(folder: Path) -> list[Path]:
    """Return the files of a folder of archives, which are a data set's as they are.

    Args:
        folder: The folder.

    Returns:
        The archives, compressed files and lists beside them, by name; none if there is no archive,
        or a folder or an image beside them, so that they may be copies of what is there unpacked.
    """
    found = sorted(path for path in folder.iterdir() if not _is_litter(path.name))
    if any(path.is_dir() or is_image(path.name) for path in found):
        return []
    files = [path for path in found if path.name != CHECKSUMS]
    return files if any(is_packed(path.name) for path in files) else []


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            raise ViewfinderError(
                f"{parent} is a link to a folder that is packed already. Remove the link."
            )
        visited.add(real)
        folders[:] = [name for name in folders if not _is_litter(name)]
        for name in files:
            path = Path(parent, name)
            if _is_litter(name):
                continue
            if not path.is_file():
                raise ViewfinderError(
                    f"{path} is no readable file (a link to {path.readlink()}?). Remove it."
                    if path.is_symlink()
                    else f"{path} is no plain file. Remove it."
                )
            yield as_unicode(path.relative_to(folder).as_posix()), path


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in _LITTER
