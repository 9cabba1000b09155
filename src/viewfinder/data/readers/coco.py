"""COCO JSON: boxes, polygons and run-length masks, one annotation file a split."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.archive import Archive
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError


def read_coco(
    archive: Archive, *, annotations: Mapping[Split, str], images: Mapping[Split, str]
) -> Reading:
    """Read COCO annotation files.

    Args:
        archive: The data set's archive.
        annotations: The annotation file of each of the authors' splits.
        images: The folder of each split's images.

    Raises:
        ViewfinderError: If an annotation file is not valid, or the files' categories differ.
    """
    records: list[Record] = []
    names: list[str] | None = None
    for split, path in annotations.items():
        document = _load(archive, path)
        found = [category["name"] for category in _categories(document)]
        if names is not None and found != names:
            raise ViewfinderError(f"{archive.path}: {path!r} has categories {found}, not {names}.")
        names = found
        records += _records(document, split, images[split])
    if names is None:
        raise ViewfinderError("The COCO reader was given no annotation file.")
    return Reading(names, ["objects"], records)


def _load(archive: Archive, path: str) -> dict[str, Any]:
    try:
        document = json.loads(archive.read(path))
    except json.JSONDecodeError as error:
        raise ViewfinderError(f"{archive.path}: {path!r} is not valid JSON: {error}.") from error
    missing = {"images", "annotations", "categories"} - set(document)
    if missing:
        raise ViewfinderError(f"{archive.path}: {path!r} lacks {', '.join(sorted(missing))}.")
    return dict(document)


def _categories(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return sorted(document["categories"], key=lambda category: int(category["id"]))


def _records(document: Mapping[str, Any], split: Split, folder: str) -> list[Record]:
    index = {category["id"]: number for number, category in enumerate(_categories(document))}
    objects: defaultdict[int, list[Object]] = defaultdict(list)
    sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    for annotation in document["annotations"]:
        image_id = annotation["image_id"]
        category = index[annotation["category_id"]]
        objects[image_id].append(_object(annotation, category, sizes[image_id]))
    return [
        Record(
            id=f"{folder}/{image['file_name']}",
            objects=tuple(objects[image["id"]]),
            split=split,
        )
        for image in document["images"]
    ]


def _object(annotation: Mapping[str, Any], category: int, size: tuple[int, int]) -> Object:
    left, top, width, height = annotation["bbox"]
    return Object(
        bbox=(left, top, left + width, top + height),
        category=category,
        rle=_rle(annotation.get("segmentation"), size),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _rle(segmentation: Any, size: tuple[int, int]) -> bytes | None:
    """Bring polygons, plain and compressed run lengths to compressed run lengths."""
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        merged = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        return bytes(merged["counts"])
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return bytes(coco_mask.frPyObjects(segmentation, *size)["counts"])
    return counts.encode() if isinstance(counts, str) else bytes(counts)
