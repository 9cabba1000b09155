"""Fully convolutional networks for semantic segmentation."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.models.timm_models import timm_features, timm_strides

_STRIDES = (8, 16, 32)


class FCN(nn.Module):
    """Class scores on the deepest features of a timm backbone, refined by shallower ones.

    FCN-32s upsamples the scores of stride 32 at once; FCN-16s and FCN-8s first add those of
    stride 16, and of stride 8. Upsampling is bilinear.

    Source: J. Long, E. Shelhamer, T. Darrell, Fully Convolutional Networks for Semantic
    Segmentation, CVPR 2015.

    Args:
        num_classes: Number of classes.
        backbone: Name of a timm model with feature maps at strides 8, 16 and 32.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        image_size: Height and width of the images, pixels; only backbones of a fixed size ask.
        stride: The finest features used: 32, 16 or 8 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        weights: str | None = None,
        in_channels: int = 3,
        image_size: Sequence[int] | None = None,
        stride: Literal[32, 16, 8] = 8,
    ) -> None:
        super().__init__()
        if stride not in _STRIDES:
            raise ValueError(f"stride is {stride}; an FCN has 8, 16 or 32")
        wanted = [value for value in _STRIDES if value >= stride]
        strides = timm_strides(backbone)
        if not set(wanted) <= set(strides):
            raise ValueError(f"{backbone} has features at strides {strides}; needed: {wanted}")
        self.backbone = timm_features(
            backbone,
            stages=[strides.index(value) for value in wanted],
            weights=weights,
            in_channels=in_channels,
            image_size=image_size,
        )
        info: Any = self.backbone.feature_info
        self.scores = nn.ModuleList(
            nn.Conv2d(channels, num_classes, kernel_size=1) for channels in info.channels()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, in_channels, H, W] to logits [B, C, H, W]."""
        maps = self.backbone(images)
        scores = [score(features) for score, features in zip(self.scores, maps, strict=True)]
        fused = scores[-1]
        for finer in reversed(scores[:-1]):
            fused = finer + _upsample(fused, finer)
        return _upsample(fused, images)


def _upsample(scores: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(scores, size=like.shape[-2:], mode="bilinear", align_corners=False)
