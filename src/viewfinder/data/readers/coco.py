"""COCO JSON: boxes, polygons and run-length masks, one annotation file a split."""

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, get_args

from viewfinder.data.archive import Archive
from viewfinder.data.readers.boxes import checked_box
from viewfinder.data.readers.coco_masks import is_number, to_rle
from viewfinder.data.readers.members import inside, is_image
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.refusals import Refused, check_splits, refuse_choice
from viewfinder.data.readers.split_lists import Unlisted
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_REQUIRED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "images": {"id": (int, str), "file_name": str},
    "categories": {"id": int, "name": str},
    "annotations": {},
}


def read_coco(
    archive: Archive,
    *,
    annotations: Mapping[Split, str],
    images: Mapping[Split, str],
    unlisted: Unlisted = "refuse",
) -> Reading:
    """Read COCO annotation files.

    Args:
        archive: The data set's archive.
        annotations: The annotation file of each of the authors' splits.
        images: The folder of each split's images; several splits may share one.
        unlisted: Whether images in these folders that no file lists are refused or left out.

    Raises:
        ViewfinderError: If an annotation file is not valid, or the files' categories differ.
    """
    check_splits(annotations, "annotations")
    refuse_choice("unlisted", unlisted, get_args(Unlisted))
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
    if unlisted == "refuse":
        folders = {images[split] for split in annotations}
        listed = {record.id for record in records}
        strays = [
            name
            for name in archive.names()
            if is_image(name)
            and name not in listed
            and any(inside(name, folder) is not None for folder in folders)
        ]
        where = f"in one of {', '.join(map(repr, annotations.values()))}"
        mend = "List it, or set the reader's `unlisted: leave_out`."
        refused.without_label(strays, where, mend)
    return refused.reading(names, ["objects"], records)


def image_path(entry: Mapping[str, Any], folder: str = "") -> str:
    """Return the path of a file's image, composed (NFC) as the names of members are."""
    return unicodedata.normalize("NFC", str(PurePosixPath(folder, entry["file_name"])))


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
    """Refuse entries without what the reader needs, and categories of one number."""
    for part, kinds in _REQUIRED.items():
        entries = document[part]
        if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
            raise ViewfinderError(f"{where}: {part!r} is no list of entries; expected COCO JSON.")
        for entry in entries:
            for key, kind in kinds.items():
                if not isinstance(entry.get(key), kind) or isinstance(entry[key], bool):
                    raise ViewfinderError(
                        f"{where}: the entry {entry.get('id', '?')} of {part!r} has {key} "
                        f"{entry.get(key, 'missing')!r}; expected {_words(kind)}. Correct it."
                    )
    for key in ("id", "name"):
        values = [category[key] for category in document["categories"]]
        if len(set(values)) < len(values):
            raise ViewfinderError(
                f"{where}: its categories have the {key}s {values}, which are not unique. Expected "
                "each once: correct them."
            )


def _words(kind: type | tuple[type, ...]) -> str:
    names = {int: "a whole number", str: "a text"}
    return " or ".join(names[item] for item in (kind if isinstance(kind, tuple) else (kind,)))


def _categories(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return sorted(document["categories"], key=lambda category: category["id"])


def _records(
    archive: Archive,
    path: str,
    document: Mapping[str, Any],
    split: Split,
    folder: str,
    refused: Refused,
) -> list[Record]:
    images = {image["id"]: (image_path(image, folder), image) for image in document["images"]}
    _refuse_images(path, document, folder, refused)
    sizes: dict[int | str, tuple[int, int]] = {}
    for key, (name, image) in images.items():
        with refused.catch(name):
            sizes[key] = _size(image, f"{path!r}")
    index = {category["id"]: number for number, category in enumerate(_categories(document))}
    objects: defaultdict[int | str, list[Object]] = defaultdict(list)
    for annotation in document["annotations"]:
        image_id, number = annotation.get("image_id"), annotation.get("category_id")
        where = f"annotation {annotation.get('id', '?')} of {path!r}"
        if not _is_key(image_id) or image_id not in images:
            refused.without_image([where], f"its image_id {image_id!r}")
            continue
        with refused.catch(images[image_id][0]):
            if not _is_key(number) or number not in index:
                raise ViewfinderError(
                    f"{where} has the category_id {number!r}; expected one of {list(index)}, as "
                    "under its categories. Correct it."
                )
            if image_id in sizes:
                item = _object(annotation, index[number], sizes[image_id], where)
                objects[image_id].append(item)
    return [
        Record(images[key][0], size=size, objects=tuple(objects[key]), split=split)
        for key, size in sizes.items()
    ]


def _is_key(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _size(image: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Return an image's width and height, of which some tools make fractions such as 48.0."""
    sides: list[Any] = [image.get(side) for side in ("width", "height")]
    if not all(is_number(side) and side % 1 == 0 for side in sides):
        raise ViewfinderError(
            f"{where} gives it the width and height {sides}; expected whole pixels. Correct them."
        )
    width, height = map(int, sides)
    return width, height


def _refuse_images(path: str, document: Mapping[str, Any], folder: str, refused: Refused) -> None:
    """Refuse images that stand twice in a file."""
    names = [image_path(image, folder) for image in document["images"]]
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


def _object(
    annotation: Mapping[str, Any], category: int, size: tuple[int, int], where: str
) -> Object:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise ViewfinderError(f"{where} has the box {box!r}; expected four numbers. Correct it.")
    left, top, width, height = box
    return Object(
        bbox=checked_box((left, top, left + width, top + height), where),
        category=category,
        rle=to_rle(annotation.get("segmentation"), size[::-1], where),
        crowd=bool(annotation.get("iscrowd", 0)),
    )
