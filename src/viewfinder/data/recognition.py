"""Which format a data set has, judged by the names of its files."""

import json
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

_ALIASES: dict[Split, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation", "dev"}),
    "test": frozenset({"test", "testing"}),
}
_READERS = "viewfinder.data.readers."
_IMAGE_COLUMNS = ("image", "filename", "file", "file_name", "path")
_MASK_ENDINGS = ("annot", "annotations", "mask", "masks", "labels", "_gt", "groundtruth")
_LABEL_COLUMNS = ("label", "class", "category")


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


def recognise(archive: Archive) -> Format:
    """Tell the format of a data set.

    Args:
        archive: The data set's archive.

    Raises:
        ViewfinderError: If it has none that can be told from the names of its files.
    """
    names = archive.names()
    for look in (_coco, _yolo, _voc, _instance_masks, _table, _class_folders):
        found = look(archive, names)
        if found is not None:
            return found
    raise ViewfinderError(
        f"{archive.path} holds {len(names)} files in no format that can be told from their names. "
        "Expected one folder a class, COCO JSON, Pascal VOC, YOLO, a CSV list, or masks beside "
        "their images. Name the reader yourself: copy a file of conf/dataset/ and adapt it."
    )


def _split_of(word: str) -> Split | None:
    return next((split for split in SPLITS if word.lower() in _ALIASES[split]), None)


def _split_in(name: str) -> Split | None:
    """Return the split that a file's name speaks of, as in ``instances_val2017.json``."""
    words = "".join(c if c.isalpha() else " " for c in PurePosixPath(name).stem).split()
    return next((split for split in map(_split_of, words) if split is not None), None)


def _coco(archive: Archive, names: list[str]) -> Format | None:
    annotations: dict[Split, str] = {}
    images: dict[Split, str] = {}
    for name in names:
        document = _coco_document(archive, name) if name.lower().endswith(".json") else None
        if document is None:
            continue
        split = _split_in(name) or "train"
        first = document["images"][0].get("file_name") if document["images"] else ""
        folder = _folder_of(names, str(first), split)
        if folder is None or split in annotations:
            return None
        annotations[split], images[split] = name, folder
    options = {"annotations": annotations, "images": images}
    return Format("COCO JSON", f"{_READERS}coco.read_coco", options) if annotations else None


def _coco_document(archive: Archive, name: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(archive.read(name))
    except ValueError:
        return None
    parts = {"images", "annotations", "categories"}
    return document if isinstance(document, dict) and parts <= document.keys() else None


def _folder_of(names: list[str], file: str, split: Split | None = None) -> str | None:
    """Return the folder below which a file lies; of several, the one that speaks of the split."""
    ending = f"/{file}"
    folders = [
        name.removesuffix(file).rstrip("/")
        for name in names
        if name == file or name.endswith(ending)
    ]
    fitting = [folder for folder in folders if _split_in(folder) == split]
    return next(iter([*fitting, *folders]), None)


def _yolo(archive: Archive, names: list[str]) -> Format | None:
    described = [
        name for name in names if PurePosixPath(name).name in {"data.yaml", "dataset.yaml"}
    ]
    if len(described) != 1 or not any("labels" in PurePosixPath(name).parts for name in names):
        return None
    return Format("YOLO", f"{_READERS}yolo.read_yolo", {"data": described[0]})


def _voc(archive: Archive, names: list[str]) -> Format | None:
    annotations = {posixpath.dirname(name) for name in names if name.lower().endswith(".xml")}
    images = {posixpath.dirname(name) for name in image_names(archive)}
    if not annotations:
        return None
    if annotations <= images:
        splits = _split_folders(annotations)
        reader = f"{_READERS}voc.read_voc_folders"
        return Format("Pascal VOC beside images", reader, {"splits": splits} if splits else {})
    sets = {
        split: name
        for name in names
        if posixpath.basename(posixpath.dirname(name)) == "Main"
        and name.endswith(".txt")
        and (split := _split_of(PurePosixPath(name).stem))
    }
    if not sets or len(annotations) > 1 or len(images) > 1:
        return None
    options: dict[str, Any] = {
        "sets": sets,
        "images": images.pop(),
        "annotations": annotations.pop(),
    }
    return Format("Pascal VOC", f"{_READERS}voc.read_voc", options)


def _instance_masks(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    owners = {posixpath.dirname(folder) for folder in folders}
    expected = {posixpath.join(owner, part) for owner in owners for part in ("images", "masks")}
    if folders != expected or len(owners) < 2:
        return None
    reader = f"{_READERS}instance_masks.read_instance_folders"
    return Format("one mask an instance", reader, {"class_name": "object"})


def _table(archive: Archive, names: list[str]) -> Format | None:
    tables = [name for name in names if name.lower().endswith(".csv")]
    if len(tables) != 1:
        return None
    header, *rows = archive.read(tables[0]).decode("utf-8", "replace").splitlines()[:2] or [""]
    columns = [column.strip().strip('"') for column in header.split(",")]
    image = next((column for column in _IMAGE_COLUMNS if column in columns), None)
    label = next((column for column in _LABEL_COLUMNS if column in columns), None)
    if image is None or label is None or not rows:
        return None
    first = rows[0].split(",")[columns.index(image)].strip().strip('"')
    options: dict[str, Any] = {"tables": tables[0], "image": image, "label": label}
    folder = _folder_of(names, first)
    if folder:
        options["root"] = folder
    if "split" in columns:
        options["split"] = "split"
    return Format("CSV list", f"{_READERS}table.read_table", options)


def _class_folders(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    if "" in folders or len(folders) < 2:
        return None
    masks = sorted(folder for folder in folders if folder.lower().endswith(_MASK_ENDINGS))
    if masks:
        raise ViewfinderError(
            f"{archive.path} seems to hold masks in {masks[0]!r}, whose classes have no names in "
            "the files. Copy conf/dataset/camvid_quarter.yaml and name folders and classes there."
        )
    splits = _split_folders({posixpath.dirname(folder) for folder in folders})
    options: dict[str, Any] = {"splits": splits} if splits else _root(folders)
    name = "folders of train, val and test with one folder a class" if splits else "folder a class"
    return Format(name, f"{_READERS}folders.read_class_folders", options)


def _root(folders: Iterable[str]) -> dict[str, str]:
    """Return the folder that holds the class folders; none if it is the archive itself."""
    common = os.path.commonpath([f"/{folder}" for folder in folders]).strip("/")
    return {"root": common} if common else {}


def _split_folders(folders: set[str]) -> dict[Split, str] | None:
    """Return each split's folder if the folders are named after splits, all of them."""
    found = {_split_of(posixpath.basename(folder)): folder for folder in folders}
    if None in found or len(found) < len(folders) or "train" not in found:
        return None
    return {split: found[split] for split in SPLITS if split in found}
