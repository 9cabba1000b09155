"""CSV and parquet lists of images and their classes: their columns, and where the images lie."""

import csv
import io
import posixpath
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import IMAGE_SUFFIXES, is_image
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.readers.table import cell_text, parquet_rows
from viewfinder.data.recognition.names import (
    READERS,
    Format,
    folder_of,
    split_in_path,
    unsettled,
)
from viewfinder.data.schema import SPLITS, Split

_KIND = "a list of images"
_SUFFIXES = (".csv", ".tsv", ".parquet")
_IMAGE_COLUMNS = ("image", "filename", "file", "file_name", "path", "image_id", "id")
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "category", "tags")
_SPLIT_COLUMNS = ("split", "set", "subset")
_SEVERAL = ("labels", "classes", "tags")
_BOX_COLUMNS = {"xmin", "bbox", "x_min", "x1"}
_DELIMITERS = (",", ";", "\t")
_ROWS_TRIED = 20


@dataclass(frozen=True)
class _List:
    """A table that names images: its columns by lower-case name, and options to read it with."""

    columns: Mapping[str, str]
    rows: list[dict[str, Any]]
    options: dict[str, Any]


def recognise_table(archive: Archive, names: list[str]) -> Format | None:
    """Return how lists are read, if the archive holds any that name its images.

    Raises:
        ViewfinderError: If none of a list's columns is known to hold classes, a list holds boxes,
            or there are several lists that are not one for each split.
    """
    lists = find_lists(archive, names)
    if not lists:
        return None
    labels = {name: _label_column(archive, name, item) for name, item in lists.items()}
    first = next(iter(lists))
    cells = [cell_text(row[labels[name]]) for name, item in lists.items() for row in item.rows]
    separator, note = _separator(labels[first], cells)
    chosen = {
        name: item.options
        | {"label": labels[name]}
        | ({"separator": separator} if separator else {})
        | _split_column(item)
        for name, item in lists.items()
    }
    by_split = {split: name for name in chosen if (split := split_in_path(name))}
    same = all(options == chosen[first] for options in chosen.values())
    if len(chosen) > 1 and (len(by_split) < len(chosen) or not same):
        problem = f"which of {', '.join(chosen)} is meant can't be told"
        raise unsettled(archive, f"{len(chosen)} lists of images", problem)
    ordered: dict[Split, str] = {split: by_split[split] for split in SPLITS if split in by_split}
    where = {"tables": first if len(chosen) == 1 else ordered}
    kind = "parquet list" if first.lower().endswith(".parquet") else "CSV list"
    return Format(kind, f"{READERS}table.read_table", where | chosen[first], note)


def find_lists(archive: Archive, names: list[str]) -> dict[str, _List]:
    """Return the tables that name images of the archive."""
    images: defaultdict[str, list[str]] = defaultdict(list)
    for name in filter(is_image, names):
        images[posixpath.basename(name)].append(name)
    tables = [name for name in names if name.lower().endswith(_SUFFIXES)] if images else []
    return {name: found for name in tables if (found := _list(archive, images, name))}


def _list(archive: Archive, images: Mapping[str, list[str]], name: str) -> _List | None:
    rows, delimiter = _rows(archive, name)
    columns = {column.strip().lower(): column for column in (rows[0] if rows else ())}
    known = [column for column in _IMAGE_COLUMNS if column in columns]
    counts: Counter[tuple[str, str, str]] = Counter()
    for column in [*known, *(other for other in columns if other not in known)]:
        cells = filter(None, (cell_text(row[columns[column]]) for row in rows))
        for cell in islice(cells, _ROWS_TRIED):
            place = _place(images, cell)
            if place is not None:
                counts[columns[column], *place] += 1
    if not counts:
        return None
    (image, folder, suffix), _ = counts.most_common(1)[0]
    options = {"image": image}
    options |= {"root": folder} if folder else {}
    options |= {"suffix": suffix} if suffix else {}
    options |= {"delimiter": delimiter} if delimiter != "," else {}
    return _List(columns, rows, options)


def _rows(archive: Archive, name: str) -> tuple[list[dict[str, Any]], str]:
    """Return a table's rows by column, and what stands between the columns of CSV."""
    if name.lower().endswith(".parquet"):
        return parquet_rows(archive, name), ","
    text = unicodedata.normalize("NFC", archive.read(name).decode("utf-8-sig", "replace"))
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        rows = list(reader)
    except csv.Error:
        return [], delimiter
    return [{column: row[column] for column in reader.fieldnames or ()} for row in rows], delimiter


def _place(images: Mapping[str, Collection[str]], cell: str) -> tuple[str, str] | None:
    """Return the folder that a list's path starts from, and what it lacks at its end."""
    for suffix in ("", *sorted(IMAGE_SUFFIXES)):
        path = str(PurePosixPath(cell + suffix))
        folder = folder_of(images.get(posixpath.basename(path), ()), path)
        if folder is not None:
            return folder, suffix
    return None


def _label_column(archive: Archive, name: str, table: _List) -> str:
    """Return the column that holds the classes."""
    shown = ", ".join(table.columns.values())
    if _BOX_COLUMNS & table.columns.keys():
        problem = f"{name!r} has boxes (columns {shown}), which are not read from CSV"
        raise unsettled(archive, _KIND, problem)
    column = next((item for item in _LABEL_COLUMNS if item in table.columns), None)
    if column is None:
        problem = f"none of the columns of {name!r} ({shown}) is known to hold classes"
        raise unsettled(archive, _KIND, problem)
    return table.columns[column]


def _split_column(table: _List) -> dict[str, str]:
    """Return the column that names splits, if there is one."""
    for column in filter(table.columns.__contains__, _SPLIT_COLUMNS):
        name = table.columns[column]
        if any(split_of(cell_text(row[name])) for row in table.rows):
            return {"split": name}
    return {}


def _separator(column: str, cells: list[str]) -> tuple[str | None, str]:
    """Return what stands between several classes in a cell, if anything, and words on it."""
    several = column.strip().lower() in _SEVERAL
    sure, doubtful = ("|;,", " ") if several else ("|", ";")
    for mark in sure + doubtful:
        example = next((cell for cell in cells if mark in cell), None)
        if example is None:
            continue
        if mark in sure or _combines(mark, cells):
            shown = f"{mark!r} stands between classes in {column!r}, as in {example!r}"
            return mark, f"{shown}; without `separator` a cell is one class"
        shown = f"a cell of {column!r} is one class, as {example!r}"
        return None, f"{shown}; `separator: {mark!r}` would part it"
    return None, ""


def _combines(mark: str, cells: list[str]) -> bool:
    """Tell whether cells are put together from few words, of which some stand alone too.

    The names of classes may have blanks: ``polar bear`` and ``brown bear`` are no ``bear`` twice.
    """
    whole = {cell for cell in cells if cell}
    words = {cell: frozenset(filter(None, map(str.strip, cell.split(mark)))) for cell in whole}
    joined = frozenset().union(*(parts for parts in words.values() if len(parts) > 1))
    return bool(joined & whole) and len(frozenset().union(*words.values())) < len(whole)
