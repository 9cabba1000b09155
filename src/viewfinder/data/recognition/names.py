"""What the names of files and folders tell of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.schema import SPLITS, Split

READERS = "viewfinder.data.readers."
_ALIASES: dict[Split, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation", "dev"}),
    "test": frozenset({"test", "testing"}),
}


@dataclass(frozen=True)
class Format:
    """A format that a data set seems to have.

    Attributes:
        name: What people call it.
        reader: The reader that reads it, by its importable name.
        options: The reader's options.
    """

    name: str
    reader: str
    options: Mapping[str, Any]


def split_of(word: str) -> Split | None:
    """Return the split that a word names."""
    return next((split for split in SPLITS if word.lower() in _ALIASES[split]), None)


def split_in(name: str) -> Split | None:
    """Return the split that a file's name speaks of, as in ``instances_val2017.json``."""
    words = "".join(c if c.isalpha() else " " for c in PurePosixPath(name).stem).split()
    return next((split for split in map(split_of, words) if split is not None), None)


def folder_of(names: list[str], file: str, split: Split | None = None) -> str | None:
    """Return the folder below which a file lies; of several, the one that speaks of the split."""
    ending = f"/{file}"
    folders = [
        name.removesuffix(file).rstrip("/")
        for name in names
        if name == file or name.endswith(ending)
    ]
    fitting = [folder for folder in folders if split_in(folder) == split]
    return next(iter([*fitting, *folders]), None)
