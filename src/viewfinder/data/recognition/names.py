"""What the names of files and folders tell of a data set."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

READERS = "viewfinder.data.readers."
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")  # of trainA, TrainSet and train_set
_FILLERS = ("set", "sets", "split", "images", "image", "imgs", "img", "dataset", "data", "folder")


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


def named_split(folder: str) -> tuple[Split, tuple[str, ...]] | None:
    """Return the one split that a folder's name holds, and the other words that tell something."""
    words = _WORD.findall(posixpath.basename(folder))
    plain = [_without_filler(word.lower()) for word in words]
    splits = [split for word in plain if (split := split_of(word)) is not None]
    if len(splits) != 1:
        return None
    return splits[0], tuple(word for word in plain if word and split_of(word) is None)


def sibling_splits(folders: Iterable[str]) -> dict[Split, list[str]]:
    """Return those folders that are called alike but for a split, as train_set and test_set.

    Args:
        folders: Folders that lie beside each other.
    """
    families: defaultdict[tuple[str, ...], dict[Split, list[str]]] = defaultdict(dict)
    for folder in sorted(folders):
        named = named_split(folder)
        if named is not None:
            split, rest = named
            families[rest].setdefault(split, []).append(folder)
    return max(families.values(), key=len, default={})


def split_folders(folders: set[str]) -> dict[Split, str] | None:
    """Return each split's folder if the folders are named after splits, all of them."""
    found = sibling_splits(folders)
    single = {split: found[split][0] for split in SPLITS if split in found}
    return single if "train" in single and len(single) == len(folders) else None


def _without_filler(word: str) -> str:
    filler = next((item for item in _FILLERS if word.endswith(item)), "")
    rest = word.removesuffix(filler)
    return rest if not rest or split_of(rest) else word


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
