"""The feature maps of timm backbones, and pyramids over them."""

import difflib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.layers import Format
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from viewfinder.errors import ViewfinderError

_MOST_EXTRA_LEVELS = 2


class FeaturePyramid(nn.Module):
    """A feature pyramid over a timm backbone.

    Source: T.-Y. Lin and others, Feature Pyramid Networks for Object Detection, CVPR 2017.

    Args:
        backbone: Name of a timm model.
        pretrained: Whether to start from timm's weights.
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
        pretrained: bool,
        stages: Sequence[int],
        channels: int,
        extra_levels: int = 0,
        levels: int | None = None,
    ) -> None:
        super().__init__()
        self.body = feature_backbone(backbone, pretrained=pretrained, stages=stages)
        info: Any = self.body.feature_info
        self._backbone = backbone
        self._stages = list(stages)
        self._body_strides: list[int] = info.reduction()
        self._channels_last = getattr(self.body, "output_fmt", None) == Format.NHWC
        extra = [self._body_strides[-1] * 2**level for level in range(1, extra_levels + 1)]
        self.strides = [*self._body_strides, *extra][:levels]
        self.pyramid = FeaturePyramidNetwork(
            info.channels(), channels, extra_blocks=_extra_block(extra_levels, channels)
        )
        for unused in range(levels or len(stages), len(stages)):
            self.pyramid.layer_blocks[unused] = nn.Identity()
        self.out_channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images [B, 3, H, W] to one feature map a level, the finest first."""
        height, width = images.shape[-2:]
        self._check_size(height, width)
        maps = self.body(images)
        if self._channels_last:
            maps = [features.permute(0, 3, 1, 2) for features in maps]
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


def feature_backbone(backbone: str, *, pretrained: bool, stages: Sequence[int]) -> nn.Module:
    """Build a timm model that returns its feature maps.

    Args:
        backbone: Name of a timm model.
        pretrained: Whether to start from timm's weights.
        stages: Which feature maps to return, counted from 0.

    Raises:
        ViewfinderError: If there is no such model, or it lacks such feature maps.
    """
    if not timm.is_model(backbone.partition(".")[0]):
        close = difflib.get_close_matches(backbone, timm.list_models(), n=3)
        raise ViewfinderError(
            f"model.backbone is {backbone!r}, but timm has no such model. "
            f"Close to it are: {', '.join(close) or 'none'}."
        )
    options = {"features_only": True, "out_indices": tuple(stages)}
    try:
        network: nn.Module = timm.create_model(backbone, pretrained=pretrained, **options)
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise ViewfinderError(_without_maps(backbone, stages, error)) from error
    return network


def _without_maps(backbone: str, stages: Sequence[int], error: Exception) -> str:
    try:
        with torch.device("meta"):
            info = timm.create_model(backbone, features_only=True).feature_info
    except Exception:
        return (
            f"The backbone {backbone!r} gives no feature maps ({error}). Set model.backbone to a "
            "convolutional network of timm, such as resnet18, convnext_tiny or efficientnet_lite0."
        )
    strides = dict(enumerate(info.reduction()))
    return (
        f"model.stages is {list(stages)}, but the backbone {backbone!r} has feature maps "
        f"{', '.join(f'{stage} (stride {stride})' for stage, stride in strides.items())}: {error}."
    )


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
