"""What the kernels of the first layer look like."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import nn

from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import grid_columns, mosaic, scale
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.tasks import VisionTask

_LARGEST_SIDE = 72
_WIDTH, _LEAST_FIGURE = 1200, 620


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the first convolution in the order of the network's layers, with its name.

    Raises:
        NothingToDrawError: If there is none.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    raise NothingToDrawError(
        f"The network {type(network).__name__} has no convolution, so it has no kernels to draw."
    )


def draw_kernels(path: Path, task: VisionTask) -> None:
    """Draw the kernels of the first convolution.

    Those on three channels are shown in colours, with grey for 0; others on a scale from blue for
    negative weights to red for positive ones.

    Raises:
        NothingToDrawError: If there is none.
    """
    name, module = first_convolution(task.model)
    weights = module.weight.detach().float().cpu().numpy()
    count, channels, height, width = weights.shape
    in_colour = channels == 3
    painted = _painted(weights if in_colour else weights.mean(axis=1, keepdims=True))
    columns = grid_columns(count, height, width)
    side = max(2 * max(height, width), min(_LARGEST_SIDE, _WIDTH // columns))
    picture = mosaic(
        np.stack([scale(tile, side) for tile in painted]).astype(np.uint8), columns=columns, gap=4
    )
    canvas = Canvas(
        HEADER + picture.shape[0] + 56,
        max(picture.shape[1] + 2 * MARGIN, _LEAST_FIGURE),
        heading=f"Kernels of the first convolution, {name}",
        key=f"{count} kernels of {height} x {width} on {channels} channel{'s' * (channels > 1)}, "
        "each on its own scale",
    )
    canvas.show(picture, MARGIN, HEADER)
    label = "weight in red, green and blue; grey: 0" if in_colour else "weight; white: 0"
    canvas.colour_bar(
        colormaps["gray" if in_colour else "RdBu_r"],
        "lowest",
        "highest",
        left=MARGIN + 14,
        top=canvas.height - 36,
        label=label,
    )
    canvas.save(path)


def _painted(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return kernels [F, C, h, w] as pictures, uint8 [F, h, w, 3], with 0 in the middle."""
    largest: Any = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    shares = 0.5 + 0.5 * weights / np.where(largest > 0, largest, 1)
    if weights.shape[1] == 1:
        return np.asarray(255 * colormaps["RdBu_r"](shares[:, 0])[..., :3], np.uint8)
    return np.asarray(255 * shares.transpose(0, 2, 3, 1), np.uint8)
