"""Every channel of every layer for one image, and how many of them are silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import grid_columns, mosaic, scale
from viewfinder.drawing.palette import FAINT, INK
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.recording import LayerOutput, evaluating, record
from viewfinder.progress import progress
from viewfinder.tables import write_table
from viewfinder.tasks import VisionTask

_COLOURS = "viridis"
_SILENT = 225
_WIDTH = 1400
_MOST_SIDE, _LEAST_SIDE = 128, 8
_LEAST_FIGURE = 620
_TITLED = 30
_PASSING = (nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class LayerActivations:
    """What one layer gives for one image.

    Attributes:
        number: Its place in the order in which layers run, from 1.
        name: Its name.
        kind: Its class.
        maps: One map a channel, float32 [C, h, w].
        silent: Channels that are the same everywhere, bool [C].
    """

    number: int
    name: str
    kind: str
    maps: NDArray[np.float32]
    silent: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of the channels that are silent."""
        return float(self.silent.mean())

    @property
    def file(self) -> str:
        """Name of its picture."""
        return f"{self.number:02d}_{self.name}.png"


def read_activations(task: VisionTask, image: Tensor) -> list[LayerActivations]:
    """Return what each layer with feature maps gives for an image.

    Layers that pass on what they get are left out; of one that runs several times the first run is
    taken.

    Args:
        task: The task.
        image: uint8 [channels, H, W], as the network takes it.

    Raises:
        NothingToDrawError: If none has feature maps.
    """
    device = evaluating(task)
    pixels = task.normalize(image[None].to(device))
    with torch.no_grad():
        recorded = record(task.model, lambda: task.model(pixels), copies=True)
    shown = [layer for layer in recorded if _is_shown(layer)]
    if not shown:
        raise NothingToDrawError(
            f"The network {type(task.model).__name__} has no layer with feature maps, so it has no "
            "activations to draw."
        )
    return [_activations(number, layer) for number, layer in enumerate(shown, 1)]


def write_activations(
    folder: Path, layers: Sequence[LayerActivations], *, subject: str, colours: str = _COLOURS
) -> None:
    """Draw the channels of each layer as ``NN_layer.png`` into an existing folder.

    Args:
        folder: Where to.
        layers: What to draw.
        subject: Name of the image.
        colours: Name of a colour map of matplotlib.
    """
    with progress(layers, "draw activations", len(layers)) as each:
        for layer in each:
            _draw_layer(folder / layer.file, layer, subject, colours)


def write_silent_channels(folder: Path, layers: Sequence[LayerActivations]) -> None:
    """Write ``silent_channels.csv`` and ``.png`` into an existing folder."""
    columns = ("depth", "layer", "kind", "channels", "silent", "share")
    write_table(folder / "silent_channels.csv", columns, [_row(layer) for layer in layers])
    draw_silent_channels(folder / "silent_channels.png", layers)


def draw_silent_channels(path: Path, layers: Sequence[LayerActivations]) -> None:
    """Draw the share of silent channels by depth."""
    figure = Figure(figsize=(max(6.5, min(14, 0.28 * len(layers) + 2)), 4.4), dpi=120)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    depths = [layer.number for layer in layers]
    axes.plot(depths, [layer.share for layer in layers], "o-", color="#0072B2", markersize=4)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title("Channels that are the same everywhere in the image", loc="left", color=INK)
    axes.set_ylabel("share of silent channels")
    if len(layers) <= _TITLED:
        axes.set_xticks(depths, [layer.name for layer in layers], rotation=60, ha="right")
        axes.tick_params(axis="x", labelsize=7)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("depth: layers in the order in which they run")
    axes.grid(color=FAINT, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")


def _row(layer: LayerActivations) -> tuple[int, str, str, int, int, float]:
    silent = int(layer.silent.sum())
    share = round(layer.share, 5)
    return (layer.number, layer.name, layer.kind, len(layer.silent), silent, share)


def _is_shown(layer: LayerOutput) -> bool:
    if layer.layout is None or len(layer.outputs[0]) != 1:
        return False
    return layer.is_new if not layer.is_leaf else not isinstance(layer.module, _PASSING)


def _activations(number: int, layer: LayerOutput) -> LayerActivations:
    maps = layer.as_maps(layer.outputs[0])[0].float().cpu()
    flat = maps.flatten(1)
    # Sums in another order may differ in their last digits.
    spread = flat.amax(dim=1) - flat.amin(dim=1)
    silent = spread <= 1e-6 * flat.abs().amax(dim=1).clamp(min=1e-6)
    return LayerActivations(number, layer.name, layer.kind, maps.numpy(), silent.numpy())


def _draw_layer(path: Path, layer: LayerActivations, subject: str, colours: str) -> None:
    count, height, width = layer.maps.shape
    columns = grid_columns(count, height, width)
    side = min(_MOST_SIDE, max(_LEAST_SIDE, _WIDTH // columns - 2))
    tiles = np.stack([scale(tile, side) for tile in _coloured(layer, colours)]).astype(np.uint8)
    picture = mosaic(tiles, columns=columns)
    silent = int(layer.silent.sum())
    canvas = Canvas(
        HEADER + picture.shape[0] + 56,
        max(picture.shape[1] + 2 * MARGIN, _LEAST_FIGURE),
        heading=f"{layer.number}. {layer.name} ({layer.kind})",
        key=f"{count} channels of {height} x {width} for {subject}; {silent} silent",
    )
    canvas.show(picture, MARGIN, HEADER)
    canvas.colour_bar(
        colormaps[colours],
        "lowest",
        "highest",
        left=MARGIN + 14,
        top=canvas.height - 36,
        label="value in each channel on its own scale; plain grey: silent",
    )
    canvas.save(path)


def _coloured(layer: LayerActivations, colours: str) -> NDArray[np.uint8]:
    """Return the channels in colours, uint8 [C, h, w, 3]; silent ones are grey."""
    low = layer.maps.min(axis=(1, 2), keepdims=True)
    spread: Any = layer.maps.max(axis=(1, 2), keepdims=True) - low
    shares = (layer.maps - low) / np.where(spread > 0, spread, 1)
    painted = (255 * colormaps[colours](shares)[..., :3]).astype(np.uint8)
    painted[layer.silent] = _SILENT
    return np.asarray(painted, np.uint8)
