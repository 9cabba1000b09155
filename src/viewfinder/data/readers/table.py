"""A CSV or parquet list of images and their classes."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, inside, read_text
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.readers.refusals import (
    check_splits,
    refuse_classes,
    refuse_without_image,
    refuse_without_label,
    some,
)
from viewfinder.data.readers.split_lists import Unlisted, refuse_unlisted
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

_SPLIT_NAMES: dict[str, Split] = {name: name for name in SPLITS} | {
    "valid": "val",
    "validation": "val",
}


class _Row(NamedTuple):
    image: str
    label: str
    split: Split | None
    group: str | None


def read_table(
    archive: Archive,
    *,
    tables: str | Mapping[Split, str],
    image: str = "image",
    label: str = "label",
    separator: str | None = None,
    split: str | None = None,
    group: str | None = None,
    root: str = "",
    suffix: str = "",
    classes: Sequence[str] | None = None,
    delimiter: str = ",",
    unlisted: Unlisted = "refuse",
) -> Reading:
    """Read a list of images and their classes, one row an image.

    Args:
        archive: The data set's archive.
        tables: The list, CSV with a header or parquet; or one for each of the authors' splits.
        image: The column with the image's path.
        label: The column with its class.
        separator: What stands between several classes of an image, as in ``cat|dog``; then an
            empty cell means that it has none. None reads exactly one class an image.
        split: The column that names the authors' split, in place of several tables.
        group: The column that names what must not be divided between splits.
        root: The folder that the paths start from.
        suffix: What the paths lack at their end, such as ``.jpg``.
        classes: Class names in order; None takes those found, sorted.
        delimiter: What stands between the columns of a CSV file.
        unlisted: Whether images under ``root`` that no table lists are refused or left out.

    Raises:
        ViewfinderError: If a column or an image is missing, an image is listed twice or without
            a class, or a class or split is unknown.
    """
    files: list[tuple[Split | None, str]] = [(None, tables)] if isinstance(tables, str) else []
    if not isinstance(tables, str):
        check_splits(tables, "tables")
        files += tables.items()
    columns = _Row(image, label, None, group)
    rows = [
        row for part, path in files for row in _rows(archive, path, columns, part, split, delimiter)
    ]
    rows = [row._replace(image=str(PurePosixPath(root, row.image + suffix))) for row in rows]
    twice = [name for name, count in Counter(row.image for row in rows).items() if count > 1]
    if twice:
        raise ViewfinderError(
            f"{archive.path}: the tables list {some(twice)} more than once. Expected one row an "
            "image; several classes go into one cell, with the reader's `separator`."
        )
    present = {name: name for name in image_names(archive) if inside(name, root) is not None}
    listed = {row.image for row in rows}
    refuse_without_image(archive, [name for name in listed if name not in present], "a table")
    refuse_unlisted(archive, present, listed, unlisted)
    return _reading(archive, rows, separator, classes)


def _reading(
    archive: Archive, rows: Sequence[_Row], separator: str | None, classes: Sequence[str] | None
) -> Reading:
    named = {row.image: _classes_of(row.label, separator) for row in rows}
    found = {name for names in named.values() for name in names}
    known = list(classes) if classes else sorted(found)
    refuse_classes(archive, found, known, "a table")
    if separator is None:
        empty = [image for image, names in named.items() if not names]
        refuse_without_label(archive, empty, "to have a class in the table", "Add it.")
    index = {name: number for number, name in enumerate(known)}
    records = []
    for row in rows:
        numbers = tuple(sorted({index[name] for name in named[row.image]}))
        records.append(
            Record(
                id=row.image,
                label=numbers[0] if separator is None else None,
                labels=None if separator is None else numbers,
                group=row.group,
                split=row.split,
            )
        )
    return Reading(known, ["label" if separator is None else "labels"], records)


def _classes_of(cell: str, separator: str | None) -> list[str]:
    parts = [cell] if separator is None else cell.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _rows(
    archive: Archive,
    path: str,
    columns: _Row,
    part: Split | None,
    split: str | None,
    delimiter: str,
) -> list[_Row]:
    where = f"{archive.path}: {path!r}"
    table = _table(archive, path, delimiter)
    wanted = [name for name in (columns.image, columns.label, columns.group, split) if name]
    present = list(table[0]) if table else []
    missing = [name for name in wanted if name not in present]
    if missing:
        raise ViewfinderError(
            f"{where} has no column {some(missing)}; it has {', '.join(present) or 'no rows'}. "
            "Name the right columns in the reader's options."
        )
    rows = []
    for number, entry in enumerate(table, 1):
        image = _cell(entry[columns.image])
        if not image:
            raise ViewfinderError(f"{where}: row {number} names no image. Complete or remove it.")
        name = _cell(entry[split]) if split else None
        if name is not None and name not in _SPLIT_NAMES:
            raise ViewfinderError(
                f"{where}: row {number} has the split {name!r}; expected one of "
                f"{', '.join(_SPLIT_NAMES)}. Correct it."
            )
        group = _cell(entry[columns.group]) or None if columns.group else None
        chosen = _SPLIT_NAMES[name] if name is not None else part
        rows.append(_Row(image, _cell(entry[columns.label]), chosen, group))
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _table(archive: Archive, path: str, delimiter: str) -> list[dict[str, Any]]:
    """Return a table's rows by column name."""
    if PurePosixPath(path).suffix.lower() == ".parquet":
        return _parquet(archive, path)
    reader = csv.DictReader(io.StringIO(read_text(archive, path)), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise ViewfinderError(
            f"{archive.path}: {path!r} is not a valid CSV file: {error}."
        ) from error
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise ViewfinderError(
                f"{archive.path}: row {number} of {path!r} has more or fewer cells than the "
                f"header ({', '.join(reader.fieldnames or ())}). Correct it, or the reader's "
                "`delimiter`."
            )
    return rows


def _parquet(archive: Archive, path: str) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(
            pa.BufferReader(archive.read(path))
        ).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ViewfinderError(
            f"{archive.path}: {path!r} is not a parquet file: {error}. Fetch it again."
        ) from error
    return rows
