"""torchvision's RetinaNet on the features of any timm backbone.

Source: T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, Focal Loss for Dense Object Detection,
ICCV 2017.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead

from viewfinder.models.dense import DenseDetector, decode_deltas
from viewfinder.models.feature_maps import FeaturePyramid, octave_anchors, place_anchors


class RetinaNetOutputs(NamedTuple):
    """Raw outputs of RetinaNet, for every anchor of every level.

    Attributes:
        class_logits: [B, A, C].
        box_deltas: Shift of the centre and growth of the sides against the anchor, [B, A, 4].
        anchors: Left, top, right, bottom in pixels, [A, 4].
        level_sizes: Number of anchors of each level; they add up to A.
    """

    class_logits: Tensor
    box_deltas: Tensor
    anchors: Tensor
    level_sizes: list[int]


class RetinaNetDetector(DenseDetector):
    """RetinaNet up to its raw outputs, with torchvision's head, anchors and losses.

    Args:
        num_classes: Number of classes, without a background.
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        stages: Which feature maps of the backbone the detector works on.
        channels: Channels of the pyramid and the heads.
        extra_levels: See ``FeaturePyramid``.
        anchor_scale: Side of a level's smallest anchor in units of its stride.
        sizes_an_octave: Anchor sizes at each level.
        aspect_ratios: Height divided by width of the anchors.
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
        anchor_scale: float = 4.0,
        sizes_an_octave: int = 3,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
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
        anchors = octave_anchors(
            pyramid.strides,
            scale=anchor_scale,
            sizes_an_octave=sizes_an_octave,
            aspect_ratios=aspect_ratios,
        )
        count = sizes_an_octave * len(aspect_ratios)
        self.retinanet = RetinaNet(
            pyramid,
            num_classes,
            anchor_generator=anchors,
            head=RetinaNetHead(channels, count, num_classes),
        )

    def forward(self, images: Tensor) -> RetinaNetOutputs:
        """Map images [B, in_channels, H, W] to raw outputs."""
        levels = self.retinanet.backbone(images)
        head = self.retinanet.head(levels)
        anchors, sizes = place_anchors(
            self.retinanet.anchor_generator, levels, self.retinanet.backbone.strides
        )
        return RetinaNetOutputs(head["cls_logits"], head["bbox_regression"], anchors, sizes)

    def losses(
        self, outputs: RetinaNetOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's RetinaNet losses: focal loss of the classes and L1 of the boxes.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        targets = [
            {"boxes": box, "labels": label} for box, label in zip(boxes, labels, strict=True)
        ]
        head = {"cls_logits": outputs.class_logits, "bbox_regression": outputs.box_deltas}
        found = self.retinanet.compute_loss(targets, head, [outputs.anchors] * len(targets))
        return {"classification": found["classification"], "box": found["bbox_regression"]}

    def boxes(self, outputs: RetinaNetOutputs) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, A, 4]."""
        return decode_deltas(self.retinanet.box_coder, outputs.box_deltas, outputs.anchors)

    def scores(self, outputs: RetinaNetOutputs) -> Tensor:
        """Return the classes' scores, [B, A, C]."""
        return outputs.class_logits.sigmoid()
