"""A CSV or parquet list of images and their classes."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, inside, read_text
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.readers.refusals import (
    Refused,
    check_class_names,
    check_splits,
    class_number,
    some,
)
from viewfinder.data.readers.split_lists import Unlisted, refuse_unlisted
from viewfinder.data.readers.split_names import SPLIT_WORDS, split_of
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError


class _Row(NamedTuple):
    image: str
    label: str
    split: str | None
    group: str | None
    where: str = ""


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
        ViewfinderError: If a table is not valid, or lacks a column.
    """
    refused = Refused(archive)
    files: list[tuple[Split | None, str]] = [(None, tables)] if isinstance(tables, str) else []
    if not isinstance(tables, str):
        check_splits(tables, "tables")
        files += tables.items()
    columns = _Row(image, label, None, group)
    rows = [
        row._replace(image=str(PurePosixPath(root, row.image + suffix)) if row.image else "")
        for part, path in files
        for row in _rows(archive, path, columns, part, split, delimiter)
    ]
    _check_rows(rows, refused)
    present = {name: name for name in image_names(archive) if inside(name, root) is not None}
    listed = {row.image: row.where for row in rows if row.image}
    for name, where in listed.items():
        if name not in present:
            refused.without_image([name], where)
    refuse_unlisted(refused, present, listed, unlisted)
    return _reading(archive, rows, separator, classes, refused)


def _check_rows(rows: Sequence[_Row], refused: Refused) -> None:
    """Note the images of rows that say nothing sensible."""
    counts = Counter(row.image for row in rows)
    for row in rows:
        if not row.image:
            refused.add(row.where, "it names no image. Complete or remove it.")
        elif counts[row.image] > 1:
            refused.add(
                row.image,
                f"it is listed {counts[row.image]} times; expected one row an image. Several "
                "classes go into one cell, with the reader's `separator`.",
            )
        elif row.split is not None and split_of(row.split) is None:
            refused.add(
                row.image,
                f"{row.where} has the split {row.split!r}; expected one of "
                f"{', '.join(SPLIT_WORDS)}. Correct it.",
            )


def _reading(
    archive: Archive,
    rows: Sequence[_Row],
    separator: str | None,
    classes: Sequence[str] | None,
    refused: Refused,
) -> Reading:
    rows = [row for row in rows if row.image and (row.split is None or split_of(row.split))]
    named = {row.image: _classes_of(row.label, separator) for row in rows}
    known = list(classes) if classes else sorted({name for n in named.values() for name in n})
    check_class_names(archive, known)
    if separator is None:
        empty = [image for image, names in named.items() if not names]
        refused.without_label(empty, "to have a class in the table", "Add it.")
    number_of = {name: number for number, name in enumerate(known)}
    records = []
    for row in rows:
        with refused.catch(row.image):
            names = named[row.image]
            numbers = sorted({class_number(name, number_of, row.where) for name in names})
            records.append(
                Record(
                    id=row.image,
                    label=numbers[0] if separator is None and numbers else None,
                    labels=None if separator is None else tuple(numbers),
                    group=row.group,
                    split=None if row.split is None else split_of(row.split),
                )
            )
    return refused.reading(known, ["label" if separator is None else "labels"], records)


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
        group = cell_text(entry[columns.group]) or None if columns.group else None
        rows.append(
            _Row(
                image=cell_text(entry[columns.image]),
                label=cell_text(entry[columns.label]),
                split=cell_text(entry[split]) if split else part,
                group=group,
                where=f"row {number} of {path!r}",
            )
        )
    return rows


def cell_text(value: Any) -> str:
    """Return what a cell says, composed (NFC) as the names of members are."""
    return "" if value is None else unicodedata.normalize("NFC", str(value)).strip()


def _table(archive: Archive, path: str, delimiter: str) -> list[dict[str, Any]]:
    """Return a table's rows by column name."""
    if PurePosixPath(path).suffix.lower() == ".parquet":
        return parquet_rows(archive, path)
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


def parquet_rows(archive: Archive, path: str) -> list[dict[str, Any]]:
    """Return the rows of a parquet file by column name.

    Raises:
        ViewfinderError: If it is none.
    """
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
