"""Grids of cells over an image, and the cells that objects belong to."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# Side of an object in cells of the grid that is to find it.
_FITTING_CELLS = 4


class Grids(NamedTuple):
    """The S cells of all grids, grid by grid and row by row.

    Attributes:
        corners: Left and top of each cell, pixels, [S, 2].
        sides: Side of each cell, pixels, [S, 1].
        shapes: Height and width of each grid in cells.
        strides: Side of a cell of each grid, pixels.
    """

    corners: Tensor
    sides: Tensor
    shapes: list[tuple[int, int]]
    strides: list[int]


class Assigned(NamedTuple):
    """Objects and the cells that hold their centres.

    Attributes:
        images: Number of the image, int64 [N].
        cells: Number of the cell, int64 [N].
        boxes: Left, top, right, bottom in pixels, [N, 4].
        labels: Class indices, int64 [N].
    """

    images: Tensor
    cells: Tensor
    boxes: Tensor
    labels: Tensor


def lay_grids(levels: Sequence[Tensor], strides: Sequence[int]) -> Grids:
    """Return a cell for each place of feature maps [B, C, H, W]."""
    shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
    corners = [
        _corners(shape, stride, levels[0]) for shape, stride in zip(shapes, strides, strict=True)
    ]
    sides = [
        torch.full_like(part[:, :1], stride) for part, stride in zip(corners, strides, strict=True)
    ]
    return Grids(torch.cat(corners), torch.cat(sides), shapes, list(strides))


def assign(grids: Grids, boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> Assigned:
    """Give each object to the cell that holds its centre, in the grid that fits its size.

    Of several objects in a cell the first one stays.

    Args:
        grids: The grids over each image.
        boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
        labels: Class indices, int64 [N] for each image.
    """
    images = torch.cat([torch.full_like(part, number) for number, part in enumerate(labels)])
    everything = torch.cat(list(boxes))
    cells = _cell_of(grids, everything)
    keys = images * len(grids.corners) + cells
    numbers = torch.arange(len(keys), device=keys.device)
    distinct, inverse = torch.unique(keys, return_inverse=True)
    first = numbers.new_full((len(distinct),), len(keys))
    first = first.scatter_reduce(0, inverse, numbers, "amin")
    return Assigned(images[first], cells[first], everything[first], torch.cat(list(labels))[first])


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union of boxes [..., 4] that are broadcast to each other."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(part[..., 2:] - part[..., :2]).prod(dim=-1) for part in (boxes, others)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-6)


def _cell_of(grids: Grids, boxes: Tensor) -> Tensor:
    """Return the number of the cell that holds the centre of each box [N, 4]."""
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    strides = torch.tensor(grids.strides, device=boxes.device)
    shapes = torch.tensor(grids.shapes, device=boxes.device)
    starts = F.pad(shapes.prod(dim=1).cumsum(0), (1, 0))
    fitting = (sides.amax(dim=1).clamp(min=1)[:, None] / (_FITTING_CELLS * strides)).log2()
    grid = fitting.abs().argmin(dim=1)
    place = (centres / strides[grid, None]).long().clamp(min=0)
    place = place.minimum(shapes[grid].flip(1) - 1)
    return starts[grid] + place[:, 1] * shapes[grid, 1] + place[:, 0]


def _corners(shape: tuple[int, int], stride: int, like: Tensor) -> Tensor:
    """Return left and top of each cell, row by row, in pixels, [S, 2]."""
    rows, columns = (
        torch.arange(count, dtype=like.dtype, device=like.device) * stride for count in shape
    )
    top, left = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([left.flatten(), top.flatten()], dim=1)
