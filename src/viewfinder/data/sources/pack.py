"""A folder as one zip archive whose bytes depend on the files alone."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from viewfinder.data.archive.container import as_unicode
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
