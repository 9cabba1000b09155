"""The part of a report's page about where the model fails."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from viewfinder.pages import embedded

_MOST_ROWS = 10
_NUMBERS = frozenset(
    {"images", "value", "low", "high", "count", "share of actual", "quality", "area"}
)
_FRACTION = re.compile(r"[0-9]+(\.[0-9]+|(\.[0-9]+)?e-[0-9]+)")


@dataclass(frozen=True)
class Part:
    """A table, a picture, or both, below one heading.

    Attributes:
        title: The heading.
        note: What it shows.
        columns: Of the table, by name, and whether they hold numbers.
        rows: Its first rows.
        more: How many rows follow in the file.
        picture: As an address that holds it, if there is one.
    """

    title: str
    note: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]
    more: int
    picture: str | None


@dataclass(frozen=True)
class _Source:
    """Where a part comes from; a ``whole`` table goes with its picture and shows all rows."""

    title: str
    note: str
    table: str | None = None
    picture: str | None = None
    whole: bool = False
    leave_out: frozenset[str] = frozenset()


_SOURCES = (
    _Source(
        "By slice",
        "Dot: the metric on a part of the test images; bar: its 95 % interval; dashed: all images. "
        "Orange where the whole interval lies below the value of all images. Of many slices one "
        "or the other looks weak by chance.",
        "slices.csv",
        "slices.png",
        whole=True,
        leave_out=frozenset({"kind"}),
    ),
    _Source("Confused pairs", "Most frequent first.", "confused_pairs.csv"),
    _Source(
        "The most confident mistakes",
        "Where the model is wrong and sure of it.",
        picture="confident_mistakes.png",
    ),
    _Source("Missed objects", "Largest first.", picture="missed.png"),
    _Source(
        "Invented objects", "Detections that match nothing, surest first.", None, "invented.png"
    ),
    _Source(
        "Labels that may be wrong",
        "No more than suspicions, to be looked at: here the model contradicts the given label "
        "more surely than its usual mistakes explain.",
        "suspected_labels.csv",
        "suspected_labels.png",
        leave_out=frozenset({"left", "top", "right", "bottom"}),
    ),
)


def failures(folder: Path) -> list[Part]:
    """Return what there is to show; nothing for what has neither rows nor a picture.

    Args:
        folder: The report's folder, with ``tables/`` and ``plots/``.
    """
    parts = [_part(source, folder) for source in _SOURCES]
    return [part for part in parts if part.rows or part.picture]


def _part(source: _Source, folder: Path) -> Part:
    picture = folder / "plots" / source.picture if source.picture else None
    drawn = picture is not None and picture.is_file()
    read = source.table is not None and (drawn or not source.whole)
    columns, rows = _read(folder / "tables" / str(source.table)) if read else ([], [])
    shown = rows if source.whole else rows[:_MOST_ROWS]
    kept = [
        place
        for place, name in enumerate(columns)
        if name not in source.leave_out and any(row[place] for row in shown)
    ]
    names = [columns[place].replace("_", " ") for place in kept]
    return Part(
        title=source.title,
        note=source.note,
        columns=[(name, name in _NUMBERS) for name in names],
        rows=[[even(row[place]) for place in kept] for row in shown],
        more=len(rows) - len(shown),
        picture=embedded(picture) if picture is not None and drawn else None,
    )


def even(value: str) -> str:
    """Write fractions with the same number of digits, so that they stand below each other."""
    return f"{float(value):.4f}" if _FRACTION.fullmatch(value) else value


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        return [], []
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    return columns, rows
