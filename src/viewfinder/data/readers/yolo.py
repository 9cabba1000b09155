"""YOLO: one text file of boxes or polygons an image, and a data.yaml."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
import yaml
from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.archive import Archive
from viewfinder.data.image_size import image_size
from viewfinder.data.readers.boxes import checked_box
from viewfinder.data.readers.members import (
    by_stem,
    image_names,
    inside,
    read_list,
    read_text,
)
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.refusals import (
    Refused,
    check_class_names,
    refuse_choice,
    some,
)
from viewfinder.data.readers.split_lists import Unlisted, refuse_unlisted
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

Unlabelled = Literal["refuse", "background"]
_LABELIMG = "classes.txt"  # the class names, which LabelImg writes into each folder of labels


def read_yolo(
    archive: Archive,
    *,
    data: str = "data.yaml",
    unlabelled: Unlabelled = "refuse",
    unlisted: Unlisted = "refuse",
) -> Reading:
    """Read YOLO annotations: boxes, or polygons, which become masks.

    An image ``…/images/<name>.jpg`` has its objects in ``…/labels/<name>.txt``, one a line: the
    class number, then centre, width and height, or the corners of a polygon, all as shares of the
    image's width and height.

    Args:
        archive: The data set's archive.
        data: The file that names the classes and the splits' image folders or lists.
        unlabelled: Whether an image without a text file is refused or shows background only. An
            empty text file always says the latter.
        unlisted: Whether images that ``data`` names in none of its splits are refused or left out.

    Raises:
        ViewfinderError: If ``data`` is not valid.
    """
    refuse_choice("unlabelled", unlabelled, get_args(Unlabelled))
    refused = Refused(archive)
    document = _document(archive, data)
    classes = _classes(archive, data, document)
    split_of = _images(archive, data, document, refused)
    pictures = {image: image for image in image_names(archive)}
    refuse_unlisted(refused, pictures, split_of, unlisted)
    documents = {name for name in archive.names() if PurePosixPath(name).suffix.lower() == ".txt"}
    label_of = {image: _label_path(image) for image in split_of}
    missing = [image for image, path in label_of.items() if path not in documents]
    if unlabelled == "refuse":
        refused.without_label(
            missing,
            "to have a text file in `labels`",
            "Add it, empty for background, or set the reader's `unlabelled: background`.",
        )
    known = {_label_path(image) for image in pictures}
    folders = {str(PurePosixPath(path).parent) for path in known}
    orphans = {
        path
        for path in documents - known
        if str(PurePosixPath(path).parent) in folders and PurePosixPath(path).name != _LABELIMG
    }
    refused.without_image(sorted(orphans), "a folder of labels")
    records = []
    with progress(split_of.items(), "annotations") as items:
        for image, split in items:
            path = label_of[image]
            with refused.catch(image):
                lines = _lines(archive, path) if path in documents else []
                records.append(_record(archive, image, split, path, lines, len(classes)))
    return refused.reading(classes, ["objects"], records)


def _document(archive: Archive, path: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(read_text(archive, path))
    except yaml.YAMLError as error:
        raise ViewfinderError(f"{archive.path}: {path!r} is not valid YAML: {error}.") from error
    if not isinstance(document, dict) or not document.get("names"):
        raise ViewfinderError(
            f"{archive.path}: {path!r} has no class `names`. Expected YOLO's data.yaml: correct it."
        )
    return document


def _classes(archive: Archive, path: str, document: Mapping[str, Any]) -> list[str]:
    names = document["names"]
    if isinstance(names, Mapping):
        numbered = {int(key) if str(key).isdecimal() else key: names[key] for key in names}
        if set(numbered) != set(range(len(names))):
            raise ViewfinderError(
                f"{archive.path}: {path!r} numbers its classes {some(sorted(names, key=str))}; "
                f"expected 0 to {len(names) - 1}. Correct `names`."
            )
        names = [numbered[number] for number in range(len(names))]
    classes = [str(name) for name in names]
    check_class_names(archive, classes)
    return classes


def _images(
    archive: Archive, path: str, document: Mapping[str, Any], refused: Refused
) -> dict[str, Split]:
    """Return the split of each image that data.yaml's folders and lists name."""
    found = image_names(archive)
    by_stem(found, refused)  # two images with one text file
    own, given = PurePosixPath(path).parent, str(document.get("path") or "")
    split_of: dict[str, Split] = {}
    for split in SPLITS:
        entries = document.get(split) or []
        for entry in [entries] if isinstance(entries, str) else entries:
            # Ultralytics gives paths from where it unpacks data sets, not from data.yaml.
            places = list(dict.fromkeys(_resolve(own / base, str(entry)) for base in (given, "")))
            for place in places:
                images = _listed(archive, place, found, refused)
                if images:
                    break
            shared = [name for name in images if name in split_of]
            if shared or not images:
                problem = f"shares {some(shared)} with another" if shared else "has no images"
                raise ViewfinderError(
                    f"{archive.path}: {split} of {path!r}, {' or '.join(map(repr, places))}, "
                    f"{problem}. "
                    "Correct its folders."
                )
            split_of |= dict.fromkeys(images, split)
    if not split_of:
        raise ViewfinderError(f"{archive.path}: {path!r} names no train, val or test folder.")
    return split_of


def _listed(archive: Archive, place: str, found: Sequence[str], refused: Refused) -> list[str]:
    """Return the images of a folder, or those that a list names."""
    if not place.endswith(".txt"):
        return [name for name in found if inside(name, place) is not None]
    if place not in archive.names():
        return []
    present = set(found)
    listed = [
        _place(line, PurePosixPath(place).parent, present) for line in read_list(archive, place)
    ]
    missing = [name for name in listed if name not in present]
    refused.without_image(missing, f"the list {place!r}")
    return [name for name in listed if name in present]


def _place(line: str, folder: PurePosixPath, present: Collection[str]) -> str:
    """Return an image's path from a list: as Ultralytics, ``./`` is the folder of the list."""
    bases = [PurePosixPath(), folder]
    if line.startswith("./"):
        bases.reverse()
    places = [_resolve(base, line) for base in bases]
    return next((place for place in places if place in present), places[0])


def _resolve(base: PurePosixPath, entry: str) -> str:
    """Join a path of data.yaml; what leads out of the archive (Roboflow's ``../``) is left off."""
    parts: list[str] = []
    for part in (base / entry).parts:
        if part == "..":
            del parts[-1:]
        elif part not in (".", "/"):
            parts.append(part)
    return "/".join(parts)


def _label_path(image: str) -> str:
    """Return where an image's annotation lies: the last folder ``images`` becomes ``labels``."""
    parts = list(PurePosixPath(image).with_suffix(".txt").parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return "/".join(parts)


def _lines(archive: Archive, path: str) -> list[list[str]]:
    return [line.split() for line in read_text(archive, path).splitlines() if line.strip()]


def _record(
    archive: Archive,
    image: str,
    split: Split,
    path: str,
    lines: Sequence[Sequence[str]],
    classes: int,
) -> Record:
    size = image_size(archive.read(image), f"{archive.path}: {image!r}")
    objects = tuple(
        _object(line, size, classes, f"object {number} of {path!r}")
        for number, line in enumerate(lines)
    )
    return Record(image, size=size, objects=objects, split=split)


def _object(line: Sequence[str], size: tuple[int, int], classes: int, where: str) -> Object:
    if not line[0].isdecimal() or int(line[0]) >= classes:
        raise ViewfinderError(
            f"{where} has the class {line[0]!r}; expected 0 to {classes - 1}. Correct it."
        )
    try:
        values = [float(word) for word in line[1:]]
    except ValueError:
        values = []
    if not np.isfinite(values).all() or (len(values) != 4 and (len(values) < 6 or len(values) % 2)):
        raise ViewfinderError(
            f"{where} reads {' '.join(line)!r}; expected a class, then four numbers for a box or "
            "six and more for a polygon. Correct it."
        )
    category, (width, height) = int(line[0]), size
    if len(values) == 4:
        x, y, w, h = values
        corners = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width)
        return Object(checked_box((*corners, (y + h / 2) * height), where), category)
    points = np.array(values).reshape(-1, 2) * (width, height)
    box = checked_box([*points.min(axis=0), *points.max(axis=0)], where)
    rle = coco_mask.merge(coco_mask.frPyObjects([points.ravel().tolist()], height, width))
    return Object(box, category, rle=bytes(rle["counts"]))
