"""COCO JSON: the annotation file and the image folder of each split."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.coco import image_path
from viewfinder.data.recognition.names import (
    READERS,
    Format,
    folder_of,
    split_in_path,
    unsettled,
)
from viewfinder.data.schema import SPLITS, Split

_KIND = "COCO JSON"
_IMAGES_TRIED = 20


def recognise_coco(archive: Archive, names: list[str]) -> Format | None:
    """Return how COCO's files are read, if there are such.

    Raises:
        ViewfinderError: If two files seem to be for one split, or a file's images are not there.
    """
    annotations: dict[Split, str] = {}
    images: dict[Split, str] = {}
    for name, document in _documents(archive, names).items():
        split = split_in_path(name) or "train"
        if split in annotations:
            both = f"{annotations[split]!r} and {name!r} both seem to be for {split}"
            raise unsettled(archive, _KIND, both)
        files = _files(document)
        folder = _folder(names, name, files, split)
        if folder is None:
            such = f" (as {files[0]!r})" if files else ""
            raise unsettled(archive, _KIND, f"no image that {name!r} lists{such} is there")
        annotations[split], images[split] = name, folder
    if not annotations:
        return None
    found = [split for split in SPLITS if split in annotations]
    options: dict[str, Any] = {
        "annotations": {split: annotations[split] for split in found},
        "images": {split: images[split] for split in found},
    }
    return Format(_KIND, f"{READERS}coco.read_coco", options)


def _documents(archive: Archive, names: list[str]) -> dict[str, Mapping[str, Any]]:
    """Return the annotation files; beside COCO's own ``instances_*``, no others are meant."""
    files = [name for name in names if name.lower().endswith(".json")]
    instances = [name for name in files if PurePosixPath(name).name.startswith("instances_")]
    documents: dict[str, Mapping[str, Any]] = {}
    for name in instances or files:
        try:
            document = json.loads(archive.read(name))
        except ValueError:
            continue
        parts = ("images", "annotations", "categories")
        if isinstance(document, dict) and all(isinstance(document.get(p), list) for p in parts):
            documents[name] = document
    return documents


def _files(document: Mapping[str, Any]) -> list[str]:
    """Return the paths of the first images."""
    entries = (image for image in document["images"] if isinstance(image, Mapping))
    named = (entry for entry in entries if isinstance(entry.get("file_name"), str))
    return [image_path(entry) for entry in islice(named, _IMAGES_TRIED)]


def _folder(names: list[str], path: str, files: list[str], split: Split) -> str | None:
    folders = (folder_of(names, file, split, near=path) for file in files)
    return next((folder for folder in folders if folder is not None), None)
