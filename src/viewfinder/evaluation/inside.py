"""The report's look inside the network: silent channels, first kernels and the layer table."""

import csv
from dataclasses import dataclass
from pathlib import Path

from viewfinder.pages import embedded

_PICTURES = (
    (
        "silent_channels.png",
        "Silent channels",
        "Share of channels that are the same everywhere in one test image, by depth.",
    ),
    ("first_kernels.png", "Kernels of the first convolution", "What the network begins with."),
)
_HEADINGS = {
    "layer": "layer",
    "kind": "kind",
    "output": "output",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "receptive_field": "sees, pixels",
}
_MEMORY = "mib_for_batch_of_"


@dataclass(frozen=True)
class Inside:
    """What the page shows of the network's inside.

    Attributes:
        pictures: Address, title and note of each.
        columns: Headings of the layer table.
        rows: Its rows; the last one holds the sums.
    """

    pictures: list[tuple[str, str, str]]
    columns: list[str]
    rows: list[list[str]]


def read_inside(folder: Path) -> Inside | None:
    """Read what ``explain.summary`` wrote to a report's ``plots/`` and ``tables/``, if it did."""
    path = folder / "tables" / "layers.csv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    pictures = [
        (embedded(folder / "plots" / name), title, note)
        for name, title, note in _PICTURES
        if (folder / "plots" / name).is_file()
    ]
    return Inside(
        pictures,
        [_heading(name) for name in columns],
        [[_cell(*pair) for pair in zip(columns, row, strict=True)] for row in rows],
    )


def _heading(column: str) -> str:
    if column.startswith(_MEMORY):
        return f"MiB, batch of {column.removeprefix(_MEMORY)}"
    return _HEADINGS[column]


def _cell(column: str, value: str) -> str:
    if column in ("parameters", "multiply_adds"):
        return f"{int(value):,}"
    return f"{float(value):,.2f}" if column.startswith(_MEMORY) else value
