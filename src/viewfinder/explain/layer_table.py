"""What each layer of a network gives, holds, computes, sees and takes in memory."""

import csv
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from viewfinder.explain.receptive_field import FieldTracker
from viewfinder.explain.recording import LayerOutput, evaluating, record
from viewfinder.tasks import VisionTask

_MIB = 2**20
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class LayerRow:
    """One layer, for a batch of one image.

    Attributes:
        name: Its name in the network.
        kind: Its class.
        output: Shape of its output without the batch; of all its runs where it runs several times.
        parameters: Number of its own parameters; shared ones count where they first come.
        multiply_adds: Multiplications with additions.
        field: Height and width of the part of the image that a value sees, pixels; None where
            nothing is seen, or it could not be followed.
        bytes: Memory of its output as float32.
        is_new: Whether that memory is its own: a layer may pass on, or work in, its input's.
    """

    name: str
    kind: str
    output: tuple[tuple[int, ...], ...]
    parameters: int
    multiply_adds: int
    field: tuple[float, float] | None
    bytes: int
    is_new: bool

    @property
    def shape(self) -> str:
        """The output's shape in words."""
        return " + ".join("x".join(map(str, shape)) for shape in self.output)

    @property
    def field_text(self) -> str:
        """The receptive field in words."""
        return "" if self.field is None else "x".join(f"{round(side)}" for side in self.field)


def layer_table(task: VisionTask, size: tuple[int, int], channels: int = 3) -> list[LayerRow]:
    """Measure the layers of a task's network.

    Args:
        task: The task.
        size: Height and width of the images, pixels.
        channels: Channels of the images.

    Returns:
        One row for each layer without layers inside it, and for each other one with parameters of
        its own, in the order in which they end.
    """
    network = task.model
    device = evaluating(network)
    pixels = task.normalize(torch.zeros(1, channels, *size, dtype=torch.uint8, device=device))
    tracker = FieldTracker(pixels)
    counter = FlopCounterMode(display=False)
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with torch.no_grad(), counter, plain:
        recorded = record(network, lambda: _tracked(network, pixels, tracker))
    counts = counter.get_flop_counts()
    root = type(network).__name__
    seen: set[int] = set()
    memory: set[int] = set()
    rows = []
    for layer in recorded:
        own = [value for value in layer.module.parameters(recurse=False) if id(value) not in seen]
        if not layer.is_leaf and not own:
            continue
        seen |= {id(value) for value in own}
        flops = sum(counts.get(f"{root}.{layer.name}", {}).values()) if layer.is_leaf else 0
        rows.append(_row(layer, own, flops, tracker, memory))
    return rows


def write_layers(path: Path, rows: Sequence[LayerRow], batch_size: int) -> None:
    """Write the table as CSV, with a last row of sums.

    Args:
        path: The file.
        rows: What ``layer_table`` returned.
        batch_size: Images in the batch whose memory is reckoned.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "layer",
                "kind",
                "output",
                "parameters",
                "multiply_adds",
                "receptive_field",
                f"mib_for_batch_of_{batch_size}",
            ]
        )
        for row in rows:
            figures = (row.parameters, row.multiply_adds, row.field_text)
            memory = f"{batch_size * row.bytes / _MIB:.4f}"
            writer.writerow([row.name, row.kind, row.shape, *figures, memory])
        parameters, multiply_adds, size = totals(rows)
        memory = f"{batch_size * size / _MIB:.4f}"
        writer.writerow(["total", "", "", parameters, multiply_adds, "", memory])


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
    table.add_column("layer", "total", overflow="fold", min_width=18)
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


def _tracked(network: nn.Module, pixels: Tensor, tracker: FieldTracker) -> None:
    with tracker:
        network(pixels)


def _row(
    layer: LayerOutput,
    own: Sequence[Tensor],
    flops: int,
    tracker: FieldTracker,
    memory: set[int],
) -> LayerRow:
    field = tracker.field(layer.outputs[0])
    places = {values.untyped_storage().data_ptr() for values in layer.outputs}
    is_new = not places <= memory
    memory |= places
    return LayerRow(
        name=layer.name,
        kind=layer.kind,
        output=tuple(tuple(values.shape[1:]) for values in layer.outputs),
        parameters=sum(value.numel() for value in own),
        multiply_adds=flops // 2,
        field=None if field is None else field.size,
        bytes=sum(prod(values.shape) for values in layer.outputs) * _FLOAT_BYTES,
        is_new=is_new,
    )
