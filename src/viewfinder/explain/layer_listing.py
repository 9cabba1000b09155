"""The layer table as a file and for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from viewfinder.explain.layer_table import LayerRow
from viewfinder.tables import write_table

_MIB = 2**20


def write_layers(path: Path, rows: Sequence[LayerRow], batch_size: int) -> None:
    """Write the table as CSV, with a last row of sums.

    Args:
        path: The file.
        rows: What ``layer_table`` returned.
        batch_size: Images in the batch whose memory is reckoned.
    """
    columns = (
        "layer",
        "kind",
        "output",
        "parameters",
        "multiply_adds",
        "receptive_field",
        f"mib_for_batch_of_{batch_size}",
    )
    parameters, multiply_adds, size = totals(rows)
    total = ("total", "", "", parameters, multiply_adds, "", _mib(size, batch_size))
    write_table(path, columns, [*(_figures(row, batch_size) for row in rows), total])


def _figures(row: LayerRow, batch_size: int) -> tuple[str | int, ...]:
    figures = (row.parameters, row.multiply_adds, row.field_text)
    return (row.name, row.kind, row.shape, *figures, _mib(row.bytes, batch_size))


def _mib(size: int, batch_size: int) -> str:
    return f"{batch_size * size / _MIB:.4f}"


def printed_layers(rows: Sequence[LayerRow], batch_size: int, *, title: str) -> Table:
    """Return the table for a terminal, with large numbers in thousands (k) and millions (M)."""
    table = Table(
        title=title,
        title_justify="left",
        show_footer=True,
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    parameters, multiply_adds, size = totals(rows)
    table.add_column("layer", "total", overflow="fold", min_width=14)
    table.add_column("kind", overflow="fold")
    table.add_column("output", overflow="fold")
    for heading, total in (
        ("params", _short(parameters)),
        ("mult-adds", _short(multiply_adds)),
        ("sees", ""),
        (f"MiB/{batch_size}", f"{batch_size * size / _MIB:,.2f}"),
    ):
        table.add_column(heading, total, justify="right", no_wrap=True)
    for row in rows:
        memory = f"{batch_size * row.bytes / _MIB:,.2f}"
        figures = (_short(row.parameters), _short(row.multiply_adds), row.field_text, memory)
        table.add_row(row.name, row.kind, row.shape, *figures)
    table.caption = (
        "sees: receptive field, pixels; "
        f"MiB/{batch_size}: its output for a batch of {batch_size} images, float32"
    )
    return table


def _short(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 10 * size or (unit != "k" and number >= size):
            return f"{number / size:.3g} {unit}"
    return str(number)


def totals(rows: Sequence[LayerRow]) -> tuple[int, int, int]:
    """Return all parameters, multiply-adds and bytes; memory that layers share counts once."""
    return (
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
        sum(row.bytes for row in rows if row.is_new),
    )
