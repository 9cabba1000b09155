"""CSV lists of images and their classes: their columns, and where the images lie."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import IMAGE_SUFFIXES, is_image
from viewfinder.data.recognition.names import (
    READERS,
    Format,
    folder_of,
    split_in_path,
    unsettled,
)
from viewfinder.data.schema import SPLITS, Split

_KIND = "a list of images"
_IMAGE_COLUMNS = ("image", "filename", "file", "file_name", "path", "image_id", "id")
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "category", "tags")
_SEVERAL = ("labels", "classes", "tags")
_BOX_COLUMNS = {"xmin", "bbox", "x_min", "x1"}
_DELIMITERS = (",", ";", "\t")


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
    images = [name for name in names if is_image(name)]
    tables = [name for name in names if name.lower().endswith(".csv")]
    lists = {name: found for name in tables if (found := _list(archive, images, name))}
    if not lists:
        return None
    chosen = {name: item.options | _labels(archive, name, item) for name, item in lists.items()}
    first = next(iter(chosen))
    by_split = {split: name for name in chosen if (split := split_in_path(name))}
    same = all(options == chosen[first] for options in chosen.values())
    if len(chosen) > 1 and (len(by_split) < len(chosen) or not same):
        problem = f"which of {', '.join(chosen)} is meant can't be told"
        raise unsettled(archive, f"{len(chosen)} lists of images", problem)
    ordered: dict[Split, str] = {split: by_split[split] for split in SPLITS if split in by_split}
    where = {"tables": first if len(chosen) == 1 else ordered}
    return Format("CSV list", f"{READERS}table.read_table", where | chosen[first])


def _list(archive: Archive, images: list[str], name: str) -> _List | None:
    text = archive.read(name).decode("utf-8-sig", "replace")
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        rows = list(reader)
    except csv.Error:
        return None
    columns = {column.strip().lower(): column for column in reader.fieldnames or ()}
    known = [column for column in _IMAGE_COLUMNS if column in columns]
    for column in [*known, *(other for other in columns if other not in known)]:
        first = str(rows[0][columns[column]] or "").strip() if rows else ""
        paths = _image_paths(images, first) if first else None
        if paths is not None:
            options: dict[str, Any] = {"image": columns[column]} | paths
            options |= {"delimiter": delimiter} if delimiter != "," else {}
            return _List(columns, rows, options)
    return None


def _labels(archive: Archive, name: str, table: _List) -> dict[str, Any]:
    """Return the options that say where the classes and the splits stand."""
    shown = ", ".join(table.columns.values())
    if _BOX_COLUMNS & table.columns.keys():
        problem = f"{name!r} has boxes (columns {shown}), which are not read from CSV"
        raise unsettled(archive, _KIND, problem)
    column = next((item for item in _LABEL_COLUMNS if item in table.columns), None)
    if column is None:
        problem = f"none of the columns of {name!r} ({shown}) is known to hold classes"
        raise unsettled(archive, _KIND, problem)
    label = table.columns[column]
    cells = [str(row[label] or "").strip() for row in table.rows]
    separators = ("|", ";", ",", " ") if column in _SEVERAL else ("|", ";")
    separator = next((s for s in separators if any(s in cell for cell in cells)), None)
    return (
        {"label": label}
        | ({"separator": separator} if separator else {})
        | ({"split": table.columns["split"]} if "split" in table.columns else {})
    )


def _image_paths(images: list[str], first: str) -> dict[str, str] | None:
    """Return the folder that a list's paths start from, and what they lack at their end."""
    for suffix in ("", *sorted(IMAGE_SUFFIXES)):
        folder = folder_of(images, first + suffix)
        if folder is not None:
            return ({"root": folder} if folder else {}) | ({"suffix": suffix} if suffix else {})
    return None
