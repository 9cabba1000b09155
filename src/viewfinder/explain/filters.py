"""Pictures that filters answer to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import mosaic, scale
from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.recording import LayerOutput, evaluating, record
from viewfinder.progress import progress
from viewfinder.tasks import VisionTask

_STEPS = 30
_STEP = 0.03
_NOISE = (0.4, 0.6)
_BORDER = 2
_SEED = 0
_LEAST_SIDE, _LARGEST_SIDE = 64, 128
_CROP = 8
_SIDE = 96
_LEAST_FIGURE = 620


@dataclass(frozen=True)
class LayerFilters:
    """Pictures that excite the filters of one layer.

    Attributes:
        name: The layer.
        depth: Its place among the convolutions, from 1.
        pictures: One a filter, uint8 [F, H, W, 3]; grey where nothing excites it.
        count: How many filters the layer has.
    """

    name: str
    depth: int
    pictures: NDArray[np.uint8]
    count: int


def exciting_pictures(
    task: VisionTask,
    size: tuple[int, int],
    channels: int = 3,
    *,
    layers: int | Sequence[str] = 4,
    filters: int = 16,
    steps: int = _STEPS,
) -> list[LayerFilters]:
    """Find pictures that excite the filters of convolutions at several depths.

    From grey noise, the picture climbs the gradient of the filter's mean activation, away from its
    border. The gradient is divided by its root mean square, so that the pace depends neither on
    the layer nor on the picture's size.

    Sources: D. Erhan, Y. Bengio, A. Courville, P. Vincent, Visualizing Higher-Layer Features of a
    Deep Network, 2009; F. Chollet, Deep Learning with Python, 2nd edition, section 9.4.3.

    Args:
        task: The task.
        size: Height and width of the network's input, pixels. Pictures are made at 64 to 128
            pixels where the network takes other sizes, and lose an eighth at each side.
        channels: Channels of the images.
        layers: How many convolutions, spread from the first to the last, or which, by name.
        filters: How many filters of each.
        steps: Steps uphill.

    Raises:
        NothingToDrawError: If there is no convolution with feature maps.
        ViewfinderError: If there is none of that name.
    """
    device = evaluating(task)
    probe = torch.zeros(1, channels, *size, dtype=torch.uint8, device=device)
    with torch.no_grad():
        recorded = record(task.model, lambda: task.model(task.normalize(probe)))
    found = [layer for layer in recorded if isinstance(layer.module, nn.Conv2d)]
    found = [layer for layer in found if len(layer.outputs[0]) == 1 and layer.layout is not None]
    if not found:
        raise NothingToDrawError(
            f"The network {type(task.model).__name__} has no convolution with feature maps, so "
            "there are no filters to excite."
        )
    chosen = _choose([layer.name for layer in found], layers)
    side = _picture_size(task, found[0].module, size, channels)
    with progress(chosen, "excite filters", len(chosen)) as each:
        return [
            LayerFilters(
                found[index].name,
                index + 1,
                _ascend(task, found[index], (channels, *side), filters, steps),
                int(found[index].outputs[0].shape[1]),
            )
            for index in each
        ]


def _choose(names: Sequence[str], wanted: int | Sequence[str]) -> list[int]:
    """Return the places of convolutions, in the order in which they run."""
    if isinstance(wanted, int):
        last = len(names) - 1
        return sorted({round(n) for n in np.linspace(0, last, min(wanted, len(names)))})
    for name in wanted:
        if name not in names:
            raise ViewfinderError(
                f"The network has no convolution {name!r} with feature maps."
                f"{did_you_mean(name, names)} There are: {', '.join(names)}."
            )
    return sorted({names.index(name) for name in wanted})


def draw_filters(path: Path, layers: Sequence[LayerFilters]) -> None:
    """Draw the pictures of each layer as one row of tiles or more."""
    grids = []
    for layer in layers:
        tiles = np.stack([scale(tile, _SIDE) for tile in layer.pictures]).astype(np.uint8)
        grids.append(mosaic(tiles, columns=8, gap=4))
    height = HEADER + sum(grid.shape[0] + 40 for grid in grids)
    width = max(max(grid.shape[1] for grid in grids) + 2 * MARGIN, _LEAST_FIGURE)
    canvas = Canvas(
        height,
        width,
        heading="What filters answer to",
        key="Each picture was changed step by step to excite one filter; plain grey: nothing does.",
    )
    top = HEADER
    for layer, grid in zip(layers, grids, strict=True):
        text = f"{layer.name}: convolution {layer.depth}, {len(layer.pictures)} of {layer.count}"
        canvas.write(MARGIN, top, text + " filters")
        canvas.show(grid, MARGIN, top + 18)
        top += grid.shape[0] + 40
    canvas.save(path)


def _picture_size(
    task: VisionTask, layer: nn.Module, size: tuple[int, int], channels: int
) -> tuple[int, int]:
    """Return a size that shows patterns well, if the network takes it; else its own."""
    side = min(max(*size, _LEAST_SIDE), _LARGEST_SIDE)
    probe = torch.zeros(1, channels, side, side, device=task.mean.device)
    try:
        with torch.no_grad():
            _run_to(task.model, layer, probe)
    except (AssertionError, RuntimeError, ViewfinderError):
        return size
    return side, side


def _ascend(
    task: VisionTask, layer: LayerOutput, shape: tuple[int, ...], filters: int, steps: int
) -> NDArray[np.uint8]:
    count = min(filters, int(layer.outputs[0].shape[1]))
    generator = torch.Generator().manual_seed(_SEED)
    low, high = _NOISE
    start = low + (high - low) * torch.rand(count, *shape, generator=generator)
    pictures = start.to(task.mean.device)
    own = torch.arange(count)
    excited = torch.zeros(count, dtype=torch.bool)
    for _ in range(steps):
        pictures.requires_grad_()
        with torch.enable_grad():
            maps = _run_to(task.model, layer.module, (pictures - task.mean) / task.std)
            loss = _inner(maps)[own, own].mean(dim=(1, 2)).sum()
            (gradient,) = torch.autograd.grad(loss, pictures)
        strength = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        excited |= (strength.flatten() > 0).cpu()
        pictures = (pictures + _STEP * gradient / strength.clamp(min=1e-12)).detach()
    height, width = shape[1] // _CROP, shape[2] // _CROP
    return _developed(pictures.cpu()[..., height:-height, width:-width], excited)


class _ReachedError(Exception):
    """The layer ran; what comes behind it isn't needed."""


def _run_to(network: nn.Module, layer: nn.Module, pixels: Tensor) -> Tensor:
    outputs: list[Tensor] = []

    def stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output)
        raise _ReachedError

    handle = layer.register_forward_hook(stop)
    try:
        network(pixels)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    return outputs[0]


def _inner(maps: Tensor) -> Tensor:
    """Leave out the border, which padding disturbs, where there is enough inside it."""
    if min(maps.shape[-2:]) <= 3 * _BORDER:
        return maps
    return maps[..., _BORDER:-_BORDER, _BORDER:-_BORDER]


def _developed(pictures: Tensor, excited: Tensor) -> NDArray[np.uint8]:
    """Return pictures of even contrast, uint8 [F, H, W, 3]."""
    centred = pictures - pictures.mean(dim=(1, 2, 3), keepdim=True)
    spread = centred.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    shares = (0.5 + 0.25 * centred / spread).clamp(0, 1)
    shares[~excited] = 0.5
    colours = shares.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    return (255 * colours).round().byte().numpy()
