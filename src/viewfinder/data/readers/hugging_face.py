"""Hugging Face data sets as parquet: images and annotations in the columns of tables."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from viewfinder.data.archive import Archive
from viewfinder.data.readers.boxes import Box, checked_box
from viewfinder.data.readers.parquet_shards import ParquetShards
from viewfinder.data.readers.record import MaskFile, Object, Reading, Record
from viewfinder.data.readers.refusals import (
    Refused,
    check_class_names,
    check_splits,
    refuse_choice,
)
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

BoxFormat = Literal["xywh", "xyxy"]
Annotation = Literal["label", "labels", "objects", "mask"]
_Reader = Callable[[Any, str], Any]


def read_parquet(
    archive: Archive,
    *,
    files: Mapping[Split, str | Sequence[str]],
    annotation: Annotation,
    column: str | None = None,
    image: str = "image",
    classes: Sequence[str] | None = None,
    box: str = "bbox",
    category: str = "category",
    box_format: BoxFormat = "xywh",
) -> Reading:
    """Read a Hugging Face data set's parquet files.

    Args:
        archive: The data set's files.
        files: The parquet file of each split, or several of them.
        annotation: What to read: one class (``label``), any number of classes (``labels``), boxes
            (``objects``) or a mask of class indices (``mask``).
        column: The column that it stands in; None takes the one of the same name.
        image: The column of images, in Hugging Face's layout: bytes and path.
        classes: Class names; None takes those in the file's metadata.
        box: The field of the objects' boxes.
        category: The field of the objects' classes.
        box_format: Whether a box is left, top, width, height or left, top, right, bottom.

    Raises:
        ViewfinderError: If a column is missing, or the class names are not known.
    """
    check_splits(files, "files")
    refuse_choice("annotation", annotation, get_args(Annotation))
    refuse_choice("box_format", box_format, get_args(BoxFormat))
    shards = ParquetShards(archive)
    source = column or annotation
    paths = [(split, path) for split, item in files.items() for path in _list(item)]
    wanted = [] if annotation == "mask" else [source]
    tables = [shards.columns(path, image, wanted) for _, path in paths]
    named = category if annotation == "objects" else source
    names = list(classes or _class_names(shards, paths, named))
    check_class_names(archive, names)
    readers: dict[Annotation, _Reader] = {
        "label": partial(_label, len(names)),
        "labels": partial(_labels, len(names)),
        "objects": partial(_objects, len(names), box, category, box_format),
    }
    refused = Refused(archive)
    records = []
    for (split, path), table in zip(paths, tables, strict=True):
        for row, given in enumerate(table["path"]):
            name = f"{path}/{row:06d}{PurePosixPath(given or '').suffix.lower()}"
            value: Any
            with refused.catch(name):
                if annotation == "mask":
                    mask = partial(shards.content, path, source, row)
                    value = MaskFile(f"{name}:{source}", content=mask)
                else:
                    where = f"{source!r} in row {row} of {path!r}"
                    value = readers[annotation](table[source][row], where)
                content = partial(shards.content, path, image, row)
                records.append(Record(name, split=split, content=content, **{annotation: value}))
    return refused.reading(names, [annotation], records)


def _list(item: str | Sequence[str]) -> Sequence[str]:
    return [item] if isinstance(item, str) else item


def _class_names(
    shards: ParquetShards, paths: Sequence[tuple[Split, str]], column: str
) -> list[str]:
    found = {path: shards.class_names(path, column) for _, path in paths}
    names = next(iter(found.values()), None)
    if not names or any(other != names for other in found.values()):
        raise ViewfinderError(
            f"{shards.archive.path}: the parquet files' metadata do not name the classes of "
            f"{column!r}, or not the same in each file. Give them in the reader's `classes`."
        )
    return names


def _label(classes: int, value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < classes:
        raise ViewfinderError(
            f"{where} is {value!r}; expected a class number from 0 to {classes - 1}. Correct it, "
            "or the reader's `classes`."
        )
    return value


def _labels(classes: int, value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ViewfinderError(f"{where} is {value!r}; expected a list of class numbers.")
    return tuple(sorted({_label(classes, item, where) for item in value}))


def _objects(
    classes: int, box: str, category: str, box_format: BoxFormat, value: Any, where: str
) -> tuple[Object, ...]:
    """Read objects that are a list of structs, or one struct of lists."""
    if isinstance(value, Mapping) and isinstance(value.get(box), list):
        entries = [value[box], value.get(category) or []]
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        entries = [[item.get(key) for item in value] for key in (box, category)]
    else:
        raise ViewfinderError(
            f"{where} is {value!r}; expected objects with {box!r} and {category!r}. Name the right "
            "fields in the reader's options."
        )
    if len(entries[0]) != len(entries[1]):
        raise ViewfinderError(
            f"{where} has {len(entries[0])} boxes, but {len(entries[1])} classes. Correct it."
        )
    return tuple(
        Object(_box(corners, box_format, where), _label(classes, number, where))
        for corners, number in zip(*entries, strict=True)
    )


def _box(corners: Any, box_format: BoxFormat, where: str) -> Box:
    valid = isinstance(corners, list) and all(isinstance(side, int | float) for side in corners)
    if not valid or len(corners) != 4:
        raise ViewfinderError(
            f"{where} has the box {corners!r}; expected four numbers. Correct it."
        )
    left, top, right, bottom = corners
    if box_format == "xywh":
        right, bottom = left + right, top + bottom
    return checked_box([left, top, right, bottom], where)
