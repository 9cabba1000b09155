"""torchvision's FCOS on the features of any timm backbone.

Source: Z. Tian, C. Shen, H. Chen, T. He, FCOS: Fully Convolutional One-Stage Object Detection,
ICCV 2019.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from viewfinder.models.suppression import keep_best


class DenseDetections(NamedTuple):
    """Raw outputs of a dense detector, for every anchor of every level.

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


class FeaturePyramid(nn.Module):
    """A feature pyramid over a timm backbone.

    Args:
        backbone: Name of a timm model.
        pretrained: Whether to start from timm's weights.
        stages: Which feature maps of the backbone become levels of the pyramid.
        channels: Channels of every level.
    """

    def __init__(
        self, backbone: str, *, pretrained: bool, stages: Sequence[int], channels: int
    ) -> None:
        super().__init__()
        self.body = timm.create_model(
            backbone, pretrained=pretrained, features_only=True, out_indices=tuple(stages)
        )
        info = self.body.feature_info
        self.strides: list[int] = info.reduction()
        self.out_channels = channels
        self.pyramid = FeaturePyramidNetwork(info.channels(), channels)

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """Map images [B, 3, H, W] to one feature map a level."""
        maps = self.body(images)
        named = OrderedDict((str(level), features) for level, features in enumerate(maps))
        levels: OrderedDict[str, Tensor] = self.pyramid(named)
        return levels


class FCOSDetector(nn.Module):
    """FCOS up to its raw outputs, with torchvision's head, anchors and losses.

    Args:
        num_classes: Number of classes, without a background.
        backbone: Name of a timm model.
        pretrained: Whether to start from timm's weights.
        stages: Which feature maps of the backbone the detector works on.
        channels: Channels of the pyramid and the heads; a multiple of 32.
        head_layers: Convolutions in each head.
        score_threshold: Detections below it are dropped.
        iou_threshold: Of two boxes of a class that overlap more, the better is kept.
        candidates: Detections of each level that go into non-maximum suppression.
        detections: Detections kept in an image.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        pretrained: bool = False,
        stages: Sequence[int] = (2, 3),
        channels: int = 64,
        head_layers: int = 4,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.6,
        candidates: int = 1000,
        detections: int = 100,
    ) -> None:
        super().__init__()
        features = FeaturePyramid(backbone, pretrained=pretrained, stages=stages, channels=channels)
        self.fcos = FCOS(
            features,
            num_classes,
            anchor_generator=AnchorGenerator(
                sizes=tuple((stride,) for stride in features.strides),
                aspect_ratios=((1.0,),) * len(features.strides),
            ),
            head=FCOSHead(channels, 1, num_classes, num_convs=head_layers),
        )
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.candidates = candidates
        self.detections = detections

    def forward(self, images: Tensor) -> DenseDetections:
        """Map images [B, 3, H, W] to raw detections."""
        levels = list(self.fcos.backbone(images).values())
        head: dict[str, Tensor] = self.fcos.head(levels)
        height, width = images.shape[-2:]
        anchors = self.fcos.anchor_generator(ImageList(images[:1], [(height, width)]), levels)[0]
        sizes = [level.shape[-2] * level.shape[-1] for level in levels]
        return DenseDetections(
            head["cls_logits"], head["bbox_regression"], head["bbox_ctrness"], anchors, sizes
        )

    def losses(
        self, outputs: DenseDetections, boxes: Sequence[Tensor], labels: Sequence[Tensor]
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

    def decode(self, outputs: DenseDetections, size: tuple[int, int]) -> dict[str, Tensor]:
        """Turn raw outputs into the best detections of each image.

        Args:
            outputs: What ``forward`` returned.
            size: Height and width of the images, pixels.

        Returns:
            ``boxes`` [B, K, 4] as left, top, right, bottom in pixels, ``scores`` [B, K] from best
            to worst, 0 where there are fewer than K, and ``labels`` int64 [B, K].
        """
        scores = (outputs.class_logits.sigmoid() * outputs.centerness_logits.sigmoid()).sqrt()
        boxes = self._boxes(outputs, size)
        candidates = [
            self._best_of_level(*level)
            for level in zip(
                torch.split(boxes, outputs.level_sizes, 1),
                torch.split(scores, outputs.level_sizes, 1),
                strict=True,
            )
        ]
        return keep_best(
            *(torch.cat(parts, 1) for parts in zip(*candidates, strict=True)),
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
            limit=self.detections,
        )

    def _boxes(self, outputs: DenseDetections, size: tuple[int, int]) -> Tensor:
        anchors = outputs.anchors
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        sides = anchors[:, 2:] - anchors[:, :2]
        before, after = torch.split(outputs.box_offsets, 2, dim=-1)
        height, width = size
        limits = torch.tensor([width, height], dtype=anchors.dtype, device=anchors.device)
        low = (centres - before * sides).clamp(min=0).minimum(limits)
        high = (centres + after * sides).clamp(min=0).minimum(limits)
        return torch.cat([low, high], dim=-1)

    def _best_of_level(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        classes = scores.shape[-1]
        count = min(self.candidates, scores.shape[1] * classes)
        best, index = scores.flatten(1).topk(count, dim=1)
        anchor = index // classes
        chosen = boxes.gather(1, anchor.unsqueeze(-1).expand(-1, -1, 4))
        return chosen, best, index % classes
