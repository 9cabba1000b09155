"""What each layer of a network gives, holds, computes, sees and takes in memory."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from viewfinder.explain.receptive_field import Field, FieldTracker
from viewfinder.explain.recording import LayerOutput, evaluating, record
from viewfinder.tasks import VisionTask

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
        One row for each layer without layers inside it, but identities that pass on what they get,
        and for each other one with parameters of its own, in the order in which they end; at last
        one for what belongs to no such layer, like the products of attention.
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
        places = {values.untyped_storage().data_ptr() for values in layer.outputs}
        is_new = not places <= memory
        passes_on = isinstance(layer.module, nn.Identity) and not is_new
        if not own and (passes_on or not layer.is_leaf):
            continue
        memory |= places
        seen |= {id(value) for value in own}
        flops = sum(counts.get(f"{root}.{layer.name}", {}).values()) if layer.is_leaf else 0
        rows.append(_row(layer, own, flops, tracker.field(layer.outputs[0]), is_new=is_new))
    rest = sum(value.numel() for value in network.parameters() if id(value) not in seen)
    flops = sum(counts["Global"].values()) // 2 - sum(row.multiply_adds for row in rows)
    others = LayerRow("(others)", "", (), rest, flops, None, 0, False)
    return [*rows, others] if rest or flops else rows


def _tracked(network: nn.Module, pixels: Tensor, tracker: FieldTracker) -> None:
    with tracker:
        network(pixels)


def _row(
    layer: LayerOutput, own: Sequence[Tensor], flops: int, field: Field | None, *, is_new: bool
) -> LayerRow:
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
