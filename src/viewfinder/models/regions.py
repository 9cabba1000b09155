"""Pooling the features of regions, with shapes that do not depend on the regions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

# A region of 224 pixels belongs to the level of stride 16.
_CANONICAL_CELLS = 14
_SAMPLES = 2


class RegionPool(nn.Module):
    """RoIAlign on the level of a feature pyramid that fits a region's size.

    All regions are pooled from all levels, and the fitting one is chosen: unlike torchvision's
    ``MultiScaleRoIAlign`` this exports to ONNX for any batch size.

    Source: T.-Y. Lin and others, Feature Pyramid Networks for Object Detection, CVPR 2017,
    equation 1; K. He and others, Mask R-CNN, ICCV 2017.

    Args:
        strides: Stride of each level, pixels, each twice the one before.
        side: Cells along each side of a pooled region.
    """

    def __init__(self, strides: Sequence[int], side: int) -> None:
        super().__init__()
        self.strides = list(strides)
        self.side = side

    def forward(self, levels: Sequence[Tensor], regions: Tensor) -> Tensor:
        """Pool regions.

        Args:
            levels: Feature maps [B, C, H, W], the finest first.
            regions: Number of the image, then left, top, right, bottom in pixels, [R, 5].

        Returns:
            Pooled features [R, C, S, S].
        """
        sides = regions[:, 3:] - regions[:, 1:3]
        cells = sides.prod(dim=1).clamp(min=1).sqrt() / (self.strides[0] * _CANONICAL_CELLS)
        fitting = cells.log2().floor().clamp(0, len(self.strides) - 1)
        pooled = self._pool(levels[0], regions, self.strides[0])
        for number in range(1, len(self.strides)):
            coarser = self._pool(levels[number], regions, self.strides[number])
            pooled = torch.where((fitting == number)[:, None, None, None], coarser, pooled)
        return pooled

    def _pool(self, level: Tensor, regions: Tensor, stride: int) -> Tensor:
        size = (self.side, self.side)
        pooled: Tensor = roi_align(level, regions, size, 1 / stride, _SAMPLES)
        return pooled


def number_regions(boxes: Tensor) -> Tensor:
    """Put the number of its image before each box: [B, N, 4] to [B * N, 5]."""
    images = torch.arange(boxes.shape[0], dtype=boxes.dtype, device=boxes.device)
    numbers = images[:, None, None].expand(-1, boxes.shape[1], 1)
    return torch.cat([numbers, boxes], dim=-1).reshape(-1, 5)


def join_regions(boxes: Sequence[Tensor]) -> Tensor:
    """Put the number of its image before each box: [R, 4] for each image to [all, 5]."""
    numbered = [
        torch.cat([torch.full_like(part[:, :1], number), part], dim=1)
        for number, part in enumerate(boxes)
    ]
    return torch.cat(numbered)
