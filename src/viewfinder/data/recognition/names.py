"""What the names of files and folders tell of a data set."""

import os
import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

READERS = "viewfinder.data.readers."


@dataclass(frozen=True)
class Format:
    """A format that a data set seems to have.

    Attributes:
        name: What people call it.
        reader: The reader that reads it, by its importable name.
        options: The reader's options.
        note: What was taken for granted and may be otherwise, if anything.
    """

    name: str
    reader: str
    options: Mapping[str, Any]
    note: str = ""


def split_in(name: str) -> Split | None:
    """Return the split that a file's name speaks of, as in ``instances_val2017.json``."""
    words = "".join(c if c.isalpha() else " " for c in PurePosixPath(name).stem).split()
    return next((split for split in map(split_of, words) if split is not None), None)


def split_in_path(path: str) -> Split | None:
    """Return the split that a file's name speaks of, or else the nearest of its folders."""
    found = (split_in(part) for part in reversed(PurePosixPath(path).parts))
    return next((split for split in found if split is not None), None)


def split_folders(folders: set[str]) -> dict[Split, str] | None:
    """Return each split's folder if the folders are named after splits, all of them."""
    found = {split_of(posixpath.basename(folder)): folder for folder in folders}
    if None in found or len(found) < len(folders) or "train" not in found:
        return None
    return {split: found[split] for split in SPLITS if split in found}


def common_folder(folders: Iterable[str]) -> str:
    """Return the deepest folder that holds all of these, "" for the archive itself."""
    return os.path.commonpath([f"/{folder}" for folder in folders]).strip("/")


def folder_of(
    names: Collection[str], file: str, split: Split | None = None, near: str | None = None
) -> str | None:
    """Return the folder below which a file lies.

    Args:
        names: The archive's files.
        file: The file's path as an annotation or a list gives it.
        split: Of several folders, one that speaks of this split is taken.
        near: The file that says so; its own folder comes before any other.
    """
    ending = f"/{file}"
    folders = [
        name.removesuffix(file).rstrip("/")
        for name in names
        if name == file or name.endswith(ending)
    ]
    own = None if near is None else posixpath.dirname(near)
    return max(folders, key=lambda item: (item == own, split_in(item) == split), default=None)


def unsettled(archive: Archive, kind: str, problem: str) -> ViewfinderError:
    """Return the error for annotations that were seen and can't be read without more being said."""
    return ViewfinderError(
        f"{archive.path} holds {kind}, but {problem}. Correct the files; or name the reader and "
        "its options yourself: copy a file of conf/dataset/ that has such data and adapt it."
    )
