"""Pascal VOC: the folders of images and XML files, the lists, and what corners mean."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import inside, is_image
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.recognition.names import (
    READERS,
    Format,
    common_folder,
    split_folders,
    unsettled,
)
from viewfinder.data.schema import SPLITS, Split

_KIND = "XML files, as Pascal VOC's"
_ZERO_CORNER = re.compile(rb"<[xy]min>\s*0+(\.0*)?\s*<")
_FROM_ZERO = "boxes count from 0 (`corners: edges`), since one starts there"
_FROM_ONE = "boxes count from 1, as Pascal VOC's; `corners: edges` counts from 0"


def recognise_voc(archive: Archive, names: list[str]) -> Format | None:
    """Return how Pascal VOC's files are read, if there are such.

    Raises:
        ViewfinderError: If the folder of their images or the lists of the splits can't be told.
    """
    documents = [name for name in names if name.lower().endswith(".xml")]
    if not documents:
        return None
    from_zero = any(_ZERO_CORNER.search(archive.read(name)) for name in documents)
    corners = {"corners": "edges"} if from_zero else {}
    note = _FROM_ZERO if from_zero else _FROM_ONE
    folders = {posixpath.dirname(name) for name in documents}
    if set(map(_stem, documents)) <= {_stem(name) for name in names if is_image(name)}:
        splits = split_folders(folders)
        options: dict[str, Any] = ({"splits": splits} if splits else {}) | corners
        reader = f"{READERS}voc.read_voc_folders"
        return Format("Pascal VOC beside images", reader, options, note)
    sets, annotations = _lists(names), common_folder(folders)
    images = _image_folder(names, {f"/{inside(_stem(name), annotations)}" for name in documents})
    if not sets:
        problem = "no lists such as ImageSets/Main/train.txt, and not each beside its image"
        raise unsettled(archive, _KIND, problem)
    if images is None:
        raise unsettled(archive, _KIND, f"no image is called like {documents[0]!r}")
    options = {"sets": sets, "images": images, "annotations": annotations}
    return Format("Pascal VOC", f"{READERS}voc.read_voc", options | corners, note)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _lists(names: Iterable[str]) -> dict[Split, str]:
    found = {
        split_of(PurePosixPath(name).stem): name
        for name in names
        if PurePosixPath(name).match("Main/*.txt")
    }
    return {split: found[split] for split in SPLITS if split in found}


def _image_folder(names: Iterable[str], ends: set[str]) -> str | None:
    """Return the folder below which most images have these names; masks may have the same ones."""
    counts: Counter[str] = Counter()
    for name in filter(is_image, names):
        stem = f"/{_stem(name)}"
        slashes = [place for place, letter in enumerate(stem) if letter == "/"]
        counts.update(stem[1:place] for place in slashes if stem[place:] in ends)
    return max(
        counts, key=lambda folder: (counts[folder], "segm" not in folder.lower()), default=None
    )
