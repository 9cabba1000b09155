"""Fully convolutional networks for semantic segmentation."""

from typing import Literal

import timm
from torch import Tensor, nn
from torch.nn import functional as F


class FCN(nn.Module):
    """Class scores on the deepest features of a timm backbone, refined by shallower ones.

    FCN-32s upsamples the scores of stride 32 at once; FCN-16s and FCN-8s first add those of
    stride 16, and of stride 8. Upsampling is bilinear.

    Source: J. Long, E. Shelhamer, T. Darrell, Fully Convolutional Networks for Semantic
    Segmentation, CVPR 2015.

    Args:
        num_classes: Number of classes.
        backbone: Name of a timm model with feature maps at strides 8, 16 and 32.
        pretrained: Whether to start from timm's weights.
        stride: The finest features used: 32, 16 or 8 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        pretrained: bool = False,
        stride: Literal[32, 16, 8] = 8,
    ) -> None:
        super().__init__()
        if stride not in (8, 16, 32):
            raise ValueError(f"stride is {stride}; an FCN has 32, 16 or 8")
        self.backbone = timm.create_model(backbone, pretrained=pretrained, features_only=True)
        strides = self.backbone.feature_info.reduction()
        channels = self.backbone.feature_info.channels()
        wanted = [value for value in (8, 16, 32) if value >= stride]
        if not set(wanted) <= set(strides):
            raise ValueError(f"{backbone} has features at strides {strides}; needed: {wanted}")
        self._used = [strides.index(value) for value in wanted]
        self.scores = nn.ModuleList(
            nn.Conv2d(channels[index], num_classes, kernel_size=1) for index in self._used
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to logits [B, C, H, W]."""
        maps = self.backbone(images)
        scores = [score(maps[at]) for score, at in zip(self.scores, self._used, strict=True)]
        fused = scores[-1]
        for finer in reversed(scores[:-1]):
            fused = finer + _upsample(fused, finer)
        return _upsample(fused, images)


def _upsample(scores: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(scores, size=like.shape[-2:], mode="bilinear", align_corners=False)
