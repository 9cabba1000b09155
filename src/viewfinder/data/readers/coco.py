"""COCO JSON: boxes, polygons and run-length masks, one annotation file a split."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.archive import Archive
from viewfinder.data.readers.boxes import checked_box
from viewfinder.data.readers.members import inside, is_image
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.refusals import Refused, check_splits
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_REQUIRED = {
    "images": ("id", "file_name", "width", "height"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id", "bbox"),
}


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
    check_splits(annotations, "annotations")
    refused = Refused(archive)
    records: list[Record] = []
    names: list[str] | None = None
    for split, path in annotations.items():
        document = _load(archive, path)
        found = [category["name"] for category in _categories(document)]
        if names is not None and found != names:
            raise ViewfinderError(f"{archive.path}: {path!r} has categories {found}, not {names}.")
        names = found
        if split not in images:
            raise ViewfinderError(f"The reader has no folder of `images` for the split {split!r}.")
        records += _records(archive, path, document, split, images[split], refused)
    assert names is not None
    return refused.reading(names, ["objects"], records)


def _load(archive: Archive, path: str) -> dict[str, Any]:
    try:
        document = json.loads(archive.read(path))
    except ValueError as error:
        raise ViewfinderError(f"{archive.path}: {path!r} is not valid JSON: {error}.") from error
    parts = {"images", "annotations", "categories"}
    missing = parts - set(document) if isinstance(document, dict) else parts
    if missing:
        raise ViewfinderError(f"{archive.path}: {path!r} lacks {', '.join(sorted(missing))}.")
    _check_entries(document, f"{archive.path}: {path!r}")
    return dict(document)


def _check_entries(document: Mapping[str, Any], where: str) -> None:
    """Refuse entries without what the reader needs."""
    for part, keys in _REQUIRED.items():
        for entry in document[part]:
            missing = [key for key in keys if key not in entry]
            if missing:
                raise ViewfinderError(
                    f"{where}: the entry {entry.get('id', '?')} of {part!r} lacks "
                    f"{', '.join(missing)}."
                )


def _categories(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return sorted(document["categories"], key=lambda category: int(category["id"]))


def _records(
    archive: Archive,
    path: str,
    document: Mapping[str, Any],
    split: Split,
    folder: str,
    refused: Refused,
) -> list[Record]:
    images = {
        image["id"]: (str(PurePosixPath(folder, image["file_name"])), image)
        for image in document["images"]
    }
    _refuse_images(archive, path, document, folder, refused)
    index = {category["id"]: number for number, category in enumerate(_categories(document))}
    objects: defaultdict[int, list[Object]] = defaultdict(list)
    for annotation in document["annotations"]:
        image_id, number = annotation["image_id"], annotation["category_id"]
        where = f"annotation {annotation.get('id', '?')} of {path!r}"
        if image_id not in images:
            refused.without_image([where], f"its image_id {image_id}")
            continue
        name, image = images[image_id]
        with refused.catch(name):
            if number not in index:
                raise ViewfinderError(
                    f"{where} has the category_id {number}; expected one of {list(index)}, as "
                    "under its categories. Correct it."
                )
            size = (image["height"], image["width"])
            objects[image_id].append(_object(annotation, index[number], size, where))
    return [
        Record(
            name, size=(image["width"], image["height"]), objects=tuple(objects[key]), split=split
        )
        for key, (name, image) in images.items()
    ]


def _refuse_images(
    archive: Archive, path: str, document: Mapping[str, Any], folder: str, refused: Refused
) -> None:
    """Refuse images that stand twice in a file, or lie in its folder without standing in it."""
    names = [str(PurePosixPath(folder, image["file_name"])) for image in document["images"]]
    numbers = [image["id"] for image in document["images"]]
    counts, owners = Counter(names), Counter(numbers)
    for name, number in zip(names, numbers, strict=True):
        if counts[name] > 1:
            refused.add(
                name, f"{path!r} lists it {counts[name]} times; expected one entry. Join them."
            )
        if owners[number] > 1:
            refused.add(
                name,
                f"{path!r} gives {owners[number]} images the id {number}; expected an id of its "
                "own for each. Renumber them.",
            )
    there = [name for name in archive.names() if is_image(name)]
    strays = [name for name in there if inside(name, folder) is not None and name not in counts]
    refused.without_label(strays, f"of {folder!r} in {path!r}", "List it, or remove it.")


def _object(
    annotation: Mapping[str, Any], category: int, size: tuple[int, int], where: str
) -> Object:
    box = annotation["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ViewfinderError(f"{where} has the box {box!r}; expected four numbers. Correct it.")
    left, top, width, height = box
    return Object(
        bbox=checked_box((left, top, left + width, top + height), where),
        category=category,
        rle=_rle(annotation.get("segmentation"), size),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
