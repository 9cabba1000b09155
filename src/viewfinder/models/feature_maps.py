"""The feature maps of timm backbones, and pyramids over them."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from viewfinder.errors import ViewfinderError
from viewfinder.models.timm_models import timm_features, timm_strides

_MOST_EXTRA_LEVELS = 2


class FeaturePyramid(nn.Module):
    """A feature pyramid over a timm backbone.

    Source: T.-Y. Lin and others, Feature Pyramid Networks for Object Detection, CVPR 2017.

    Args:
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        stages: Which feature maps of the backbone become levels of the pyramid, from 0.
        channels: Channels of every level.
        extra_levels: Coarser levels on top: 0, 1 by subsampling as in Faster R-CNN, or 2 by
            strided convolutions as in RetinaNet.
        levels: How many of the levels made of stages to return, from the finest; None for all.

    Attributes:
        strides: Pixels between neighbouring cells of each level.

    Raises:
        ViewfinderError: If there is no such backbone, or it lacks such feature maps.
    """

    def __init__(
        self,
        backbone: str,
        *,
        weights: str | None = None,
        in_channels: int = 3,
        stages: Sequence[int],
        channels: int,
        extra_levels: int = 0,
        levels: int | None = None,
    ) -> None:
        super().__init__()
        self.body = _backbone(backbone, stages=stages, weights=weights, in_channels=in_channels)
        info: Any = self.body.feature_info
        self._backbone = backbone
        self._stages = list(stages)
        self._body_strides: list[int] = info.reduction()
        extra = [self._body_strides[-1] * 2**level for level in range(1, extra_levels + 1)]
        self.strides = [*self._body_strides, *extra][:levels]
        self.pyramid = FeaturePyramidNetwork(
            info.channels(), channels, extra_blocks=_extra_block(extra_levels, channels)
        )
        for unused in range(levels or len(stages), len(stages)):
            self.pyramid.layer_blocks[unused] = nn.Identity()
        self.out_channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images [B, in_channels, H, W] to one feature map a level, the finest first."""
        height, width = images.shape[-2:]
        self._check_size(height, width)
        maps = self.body(images)
        named = OrderedDict((str(level), features) for level, features in enumerate(maps))
        levels: dict[str, Tensor] = self.pyramid(named)
        return list(levels.values())[: len(self.strides)]

    def _check_size(self, height: int, width: int) -> None:
        fitting = [
            stage
            for stage, stride in zip(self._stages, self._body_strides, strict=True)
            if stride <= min(height, width)
        ]
        if len(fitting) < len(self._stages):
            remedy = f" or set model.stages to {fitting}" if fitting else ""
            raise ViewfinderError(
                f"Images of {height}x{width} pixels are too small for stage {self._stages[-1]} of "
                f"the backbone {self._backbone!r}, whose cells are {self._body_strides[-1]} pixels "
                f"apart. Raise image.size to at least {self._body_strides[-1]}{remedy}."
            )


def _backbone(name: str, *, stages: Sequence[int], **options: Any) -> nn.Module:
    try:
        return timm_features(name, stages=stages, **options)
    except ViewfinderError as error:
        strides = dict(enumerate(timm_strides(name)))
        if set(stages) <= set(strides):
            raise
        known = ", ".join(f"{stage} (stride {stride})" for stage, stride in strides.items())
        raise ViewfinderError(
            f"model.stages is {list(stages)}; the backbone {name!r} has the feature maps {known}."
        ) from error


def octave_anchors(
    strides: Sequence[int],
    *,
    scale: float,
    sizes_an_octave: int = 1,
    aspect_ratios: Sequence[float] = (1.0,),
) -> AnchorGenerator:
    """Return anchors whose sides grow with the strides of the levels.

    Args:
        strides: Stride of each level, pixels.
        scale: Side of a level's smallest anchor in units of its stride.
        sizes_an_octave: Sizes at each level, evenly between one level and the next.
        aspect_ratios: Height divided by width.
    """
    steps = [2 ** (step / sizes_an_octave) for step in range(sizes_an_octave)]
    return AnchorGenerator(
        sizes=tuple(tuple(stride * scale * step for step in steps) for stride in strides),
        aspect_ratios=(tuple(aspect_ratios),) * len(strides),
    )


def place_anchors(
    generator: AnchorGenerator, levels: Sequence[Tensor], strides: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """Place a level's anchors at each of its cells.

    Args:
        generator: The anchors of one cell of each level.
        levels: Feature maps [B, C, H, W].
        strides: Stride of each level, pixels.

    Returns:
        Left, top, right, bottom in pixels, float32 [A, 4], and the number of anchors of each level.
    """
    generator.set_cell_anchors(torch.float32, levels[0].device)
    anchors: list[Tensor] = generator.grid_anchors(
        [list(level.shape[-2:]) for level in levels], [[stride, stride] for stride in strides]
    )
    return torch.cat(anchors), [len(part) for part in anchors]


def _extra_block(levels: int, channels: int) -> ExtraFPNBlock | None:
    if not 0 <= levels <= _MOST_EXTRA_LEVELS:
        raise ViewfinderError(f"model.extra_levels is {levels}; expected 0, 1 or 2.")
    blocks = (None, LastLevelMaxPool(), LastLevelP6P7(channels, channels))
    return blocks[levels]
