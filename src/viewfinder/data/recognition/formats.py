"""Which format a data set has, judged by the names of its files."""

import json
import os
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names
from viewfinder.data.recognition.mask_folders import (
    classes_in_masks,
    find_mask_folders,
    is_mask_folder,
)
from viewfinder.data.recognition.names import READERS, Format, folder_of, split_in, split_of
from viewfinder.data.recognition.parquet import recognise_parquet
from viewfinder.data.recognition.tables import recognise_table
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError


def recognise(archive: Archive) -> Format:
    """Tell the format of a data set.

    Args:
        archive: The data set's archive.

    Raises:
        ViewfinderError: If it has none that can be told from the names of its files.
    """
    names = archive.names()
    for look in (
        recognise_parquet,
        _coco,
        _yolo,
        _voc,
        _instance_masks,
        _index_masks,
        recognise_table,
        _class_folders,
    ):
        found = look(archive, names)
        if found is not None:
            return found
    raise ViewfinderError(
        f"{archive.path} holds {len(names)} files in no format that can be told from their names. "
        "Expected one folder a class, COCO JSON, Pascal VOC, YOLO, a CSV list, or masks beside "
        "their images. Name the reader yourself: copy a file of conf/dataset/ and adapt it."
    )


def _coco(archive: Archive, names: list[str]) -> Format | None:
    annotations: dict[Split, str] = {}
    images: dict[Split, str] = {}
    for name in names:
        document = _coco_document(archive, name) if name.lower().endswith(".json") else None
        if document is None:
            continue
        split = split_in(name) or "train"
        first = document["images"][0].get("file_name") if document["images"] else ""
        folder = folder_of(names, str(first), split)
        if folder is None or split in annotations:
            return None
        annotations[split], images[split] = name, folder
    options = {"annotations": annotations, "images": images}
    return Format("COCO JSON", f"{READERS}coco.read_coco", options) if annotations else None


def _coco_document(archive: Archive, name: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(archive.read(name))
    except ValueError:
        return None
    parts = {"images", "annotations", "categories"}
    return document if isinstance(document, dict) and parts <= document.keys() else None


def _yolo(archive: Archive, names: list[str]) -> Format | None:
    described = [
        name for name in names if PurePosixPath(name).name in {"data.yaml", "dataset.yaml"}
    ]
    if len(described) != 1 or not any("labels" in PurePosixPath(name).parts for name in names):
        return None
    return Format("YOLO", f"{READERS}yolo.read_yolo", {"data": described[0]})


def _voc(archive: Archive, names: list[str]) -> Format | None:
    annotations = {posixpath.dirname(name) for name in names if name.lower().endswith(".xml")}
    images = {posixpath.dirname(name) for name in image_names(archive)}
    if not annotations:
        return None
    if annotations <= images:
        splits = _split_folders(annotations)
        reader = f"{READERS}voc.read_voc_folders"
        return Format("Pascal VOC beside images", reader, {"splits": splits} if splits else {})
    sets = {
        split: name
        for name in names
        if posixpath.basename(posixpath.dirname(name)) == "Main"
        and name.endswith(".txt")
        and (split := split_of(PurePosixPath(name).stem))
    }
    # The pictures of masks lie beside JPEGImages.
    pictures = {folder for folder in images if "JPEGImages" in folder.split("/")} or images
    options: dict[str, Any] = {
        "sets": sets,
        "images": _common(pictures),
        "annotations": _common(annotations),
    }
    if not (sets and options["images"] and options["annotations"]):
        return None
    return Format("Pascal VOC", f"{READERS}voc.read_voc", options)


def _instance_masks(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    owners = {posixpath.dirname(folder) for folder in folders}
    expected = {posixpath.join(owner, part) for owner in owners for part in ("images", "masks")}
    if folders != expected or len(owners) < 2:
        return None
    reader = f"{READERS}instance_masks.read_instance_folders"
    return Format("one mask an instance", reader, {"class_name": "object"})


def _index_masks(archive: Archive, names: list[str]) -> Format | None:
    pairs = find_mask_folders(archive)
    if not pairs or len({pair.suffix for pair in pairs}) > 1:
        return None
    options: dict[str, Any] = {}
    if len(pairs) == 1:
        options = {"images": pairs[0].images, "masks": pairs[0].masks}
    else:
        by_split = {split_in(pair.images): pair for pair in pairs}
        if None in by_split or len(by_split) < len(pairs):
            return None
        found = {split: by_split[split] for split in SPLITS if split in by_split}
        options["images"] = {split: pair.images for split, pair in found.items()}
        options["masks"] = {split: pair.masks for split, pair in found.items()}
    classes, values = classes_in_masks(archive, pairs)
    options |= {"suffix": pairs[0].suffix} if pairs[0].suffix else {}
    options |= {"classes": classes} | ({"values": dict(values)} if values else {})
    return Format("images and index masks", f"{READERS}index_masks.read_mask_folders", options)


def _class_folders(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    if "" in folders or len(folders) < 2:
        return None
    masks = sorted(filter(is_mask_folder, folders))
    if masks:
        raise ViewfinderError(
            f"{archive.path} seems to hold masks in {masks[0]!r}, but no folder holds images of "
            "the same names. Copy conf/dataset/camvid_quarter.yaml and name the folders there."
        )
    if all(split_of(posixpath.basename(folder)) for folder in folders):
        return None  # splits, not classes
    splits = _split_folders({posixpath.dirname(folder) for folder in folders})
    options: dict[str, Any] = {"splits": splits} if splits else _root(folders)
    name = "folders of train, val and test with one folder a class" if splits else "folder a class"
    return Format(name, f"{READERS}folders.read_class_folders", options)


def _root(folders: Iterable[str]) -> dict[str, str]:
    """Return the folder that holds the class folders; none if it is the archive itself."""
    common = _common(folders)
    return {"root": common} if common else {}


def _common(folders: Iterable[str]) -> str:
    return os.path.commonpath([f"/{folder}" for folder in folders]).strip("/")


def _split_folders(folders: set[str]) -> dict[Split, str] | None:
    """Return each split's folder if the folders are named after splits, all of them."""
    found = {split_of(posixpath.basename(folder)): folder for folder in folders}
    if None in found or len(found) < len(folders) or "train" not in found:
        return None
    return {split: found[split] for split in SPLITS if split in found}
