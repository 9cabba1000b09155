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
    split_in_path,
    unsettled,
)
from viewfinder.data.schema import SPLITS, Split

_KIND = "XML files, as Pascal VOC's"
_EDGES = {"corners": "edges"}
_FIRST_CORNER = re.compile(rb"<[xy]min>\s*0*([01])(?:\.0*)?\s*<")
_STATED = re.compile(rb"<corners>\s*(inclusive|edges)\s*</corners>")


def recognise_voc(archive: Archive, names: list[str]) -> Format | None:
    """Return how Pascal VOC's files are read, if there are such.

    Raises:
        ViewfinderError: If the folder of their images or the lists of the splits can't be told.
    """
    documents = [name for name in names if name.lower().endswith(".xml")]
    if not documents:
        return None
    corners, note = _corners(archive, documents)
    if set(map(_stem, documents)) <= {_stem(name) for name in names if is_image(name)}:
        splits = split_folders({posixpath.dirname(name) for name in documents})
        options: dict[str, Any] = ({"splits": splits} if splits else {}) | corners
        reader = f"{READERS}voc.read_voc_folders"
        return Format("Pascal VOC beside images", reader, options, note)
    sets, joined = _lists(names)
    annotations = common_folder({posixpath.dirname(name) for name in documents})
    images = _image_folder(names, {f"/{inside(_stem(name), annotations)}" for name in documents})
    if not sets and not _pair(names, documents, images, annotations):
        problem = "no lists such as ImageSets/Main/train.txt, and not each beside its image"
        raise unsettled(archive, _KIND, problem)
    if images is None:
        raise unsettled(archive, _KIND, f"no image is called like {documents[0]!r}")
    options = ({"sets": sets} if sets else {}) | {"images": images, "annotations": annotations}
    note += "; val is drawn from trainval" if joined else ""
    return Format("Pascal VOC", f"{READERS}voc.read_voc", options | corners, note)


def _corners(archive: Archive, documents: Iterable[str]) -> tuple[dict[str, str], str]:
    """Return what the boxes' corners are, and words on it.

    Boxes that fill an image to its border start at 0 if pixels count from 0, else at 1; a single
    box may start at either if it reaches out of its image.
    """
    stated: Counter[bytes] = Counter()
    starts: Counter[bytes] = Counter()
    for name in documents:
        content = archive.read(name)
        found = _STATED.search(content)
        stated[found[1] if found else b""] += 1
        starts.update(_FIRST_CORNER.findall(content))
    zeros, ones = starts[b"0"], starts[b"1"]
    if set(stated) in ({b"edges"}, {b"inclusive"}):
        from_zero = b"edges" in stated
        note = f"boxes count from {0 if from_zero else 1}, as the files say"
        return (_EDGES if from_zero else {}), note
    if zeros and zeros >= ones:
        counts = f"since {zeros} sides start at 0 and {ones} at 1"
        return _EDGES, f"boxes count from 0 (`corners: edges`), {counts}"
    counts = f", since {ones} sides start at 1 and {zeros} at 0" if zeros else ""
    return {}, f"boxes count from 1, as Pascal VOC's{counts}; `corners: edges` counts from 0"


def _pair(
    names: Iterable[str], documents: Iterable[str], images: str | None, annotations: str
) -> bool:
    """Tell whether all images lie in one folder and their annotations in another one.

    Folders of splits below them would be lost: the images would be divided anew.
    """
    if images is None or any(not inside(name, images) for name in names if is_image(name)):
        return False
    folders = {posixpath.dirname(str(inside(name, annotations))) for name in documents}
    return not any(map(split_in_path, folders))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _lists(names: Iterable[str]) -> tuple[dict[Split, str], bool]:
    """Return each split's list, and whether training and validation have only one together."""
    lists = {
        PurePosixPath(name).stem.lower(): name
        for name in names
        if PurePosixPath(name).match("Main/*.txt")
    }
    found = {split_of(word): name for word, name in lists.items()}
    joined = "trainval" in lists and "train" not in found
    if joined:
        found |= {"train": lists["trainval"]}
        found.pop("val", None)
    return {split: found[split] for split in SPLITS if split in found}, joined


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
