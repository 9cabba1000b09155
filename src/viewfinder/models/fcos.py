"""torchvision's FCOS on the features of any timm backbone.

Source: Z. Tian, C. Shen, H. Chen, T. He, FCOS: Fully Convolutional One-Stage Object Detection,
ICCV 2019.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOS, FCOSHead

from viewfinder.models.dense import DenseDetector
from viewfinder.models.feature_maps import FeaturePyramid, octave_anchors, place_anchors


class FCOSOutputs(NamedTuple):
    """Raw outputs of FCOS, for every cell of every level.

    Attributes:
        class_logits: [B, A, C].
        box_offsets: Distances to the box's sides in units of the anchor's size, [B, A, 4].
        centerness_logits: [B, A, 1].
        anchors: Left, top, right, bottom in pixels, [A, 4].
        level_sizes: Number of anchors of each level; they add up to A.
    """

    class_logits: Tensor
    box_offsets: Tensor
    centerness_logits: Tensor
    anchors: Tensor
    level_sizes: list[int]


class FCOSDetector(DenseDetector):
    """FCOS up to its raw outputs, with torchvision's head, anchors and losses.

    Args:
        num_classes: Number of classes, without a background.
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        stages: Which feature maps of the backbone the detector works on.
        channels: Channels of the pyramid and the heads; a multiple of 32.
        extra_levels: See ``FeaturePyramid``.
        head_layers: Convolutions in each head.
        options: See ``DenseDetector``.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        weights: str | None = None,
        in_channels: int = 3,
        stages: Sequence[int] = (2, 3),
        channels: int = 64,
        extra_levels: int = 0,
        head_layers: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        pyramid = FeaturePyramid(
            backbone,
            weights=weights,
            in_channels=in_channels,
            stages=stages,
            channels=channels,
            extra_levels=extra_levels,
        )
        self.fcos = FCOS(
            pyramid,
            num_classes,
            anchor_generator=octave_anchors(pyramid.strides, scale=1),
            head=FCOSHead(channels, 1, num_classes, num_convs=head_layers),
        )

    def forward(self, images: Tensor) -> FCOSOutputs:
        """Map images [B, in_channels, H, W] to raw outputs."""
        levels = self.fcos.backbone(images)
        head = self.fcos.head(levels)
        anchors, sizes = place_anchors(
            self.fcos.anchor_generator, levels, self.fcos.backbone.strides
        )
        return FCOSOutputs(
            head["cls_logits"], head["bbox_regression"], head["bbox_ctrness"], anchors, sizes
        )

    def losses(
        self, outputs: FCOSOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's FCOS losses.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        targets = [
            {"boxes": box, "labels": label} for box, label in zip(boxes, labels, strict=True)
        ]
        head = {
            "cls_logits": outputs.class_logits,
            "bbox_regression": outputs.box_offsets,
            "bbox_ctrness": outputs.centerness_logits,
        }
        anchors = [outputs.anchors] * len(targets)
        found = self.fcos.compute_loss(targets, head, anchors, outputs.level_sizes)
        return {
            "classification": found["classification"],
            "box": found["bbox_regression"],
            "centerness": found["bbox_ctrness"],
        }

    def boxes(self, outputs: FCOSOutputs) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, A, 4]."""
        anchors = outputs.anchors
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        sides = anchors[:, 2:] - anchors[:, :2]
        before, after = torch.split(outputs.box_offsets, 2, dim=-1)
        return torch.cat([centres - before * sides, centres + after * sides], dim=-1)

    def scores(self, outputs: FCOSOutputs) -> Tensor:
        """Return the geometric mean of class and centerness, [B, A, C]."""
        return (outputs.class_logits.sigmoid() * outputs.centerness_logits.sigmoid()).sqrt()
