"""A CSV list of images and their classes: its columns, and where the images lie."""

import csv
import io
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import IMAGE_SUFFIXES
from viewfinder.data.recognition.names import READERS, Format, folder_of

_IMAGE_COLUMNS = ("image", "filename", "file", "file_name", "path", "image_id", "id")
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "category", "tags")
_SEPARATORS = ("|", ";")
_DELIMITERS = (",", ";", "\t")


def recognise_table(archive: Archive, names: list[str]) -> Format | None:
    """Return how a list is read, if the archive holds one that names images and classes."""
    tables = [name for name in names if name.lower().endswith(".csv")]
    if len(tables) != 1:
        return None
    text = archive.read(tables[0]).decode("utf-8-sig", "replace")
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    column_of = {name.strip().lower(): name for name in reversed(reader.fieldnames or ())}
    image = next((column_of[name] for name in _IMAGE_COLUMNS if name in column_of), None)
    label = next((column_of[name] for name in _LABEL_COLUMNS if name in column_of), None)
    rows = list(reader)
    if image is None or label is None or not rows:
        return None
    options: dict[str, Any] = {"tables": tables[0], "image": image, "label": label}
    options |= {"delimiter": delimiter} if delimiter != "," else {}
    options |= _image_paths(names, str(rows[0][image] or "").strip())
    cells = [row[label] or "" for row in rows]
    separator = next((s for s in _SEPARATORS if any(s in cell for cell in cells)), None)
    options |= {"separator": separator} if separator else {}
    options |= {"split": column_of["split"]} if "split" in column_of else {}
    return Format("CSV list", f"{READERS}table.read_table", options)


def _image_paths(names: list[str], first: str) -> dict[str, str]:
    """Return the folder that a list's paths start from, and what they lack at their end."""
    for suffix in ("", *sorted(IMAGE_SUFFIXES)):
        folder = folder_of(names, first + suffix)
        if folder is not None:
            return ({"root": folder} if folder else {}) | ({"suffix": suffix} if suffix else {})
    return {}
