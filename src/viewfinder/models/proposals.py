"""The first stage of region detectors: where there may be an object.

Source: S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN: Towards Real-Time Object Detection with
Region Proposal Networks, NeurIPS 2015.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)

from viewfinder.models.dense import best_of_levels, clip_boxes, decode_deltas
from viewfinder.models.feature_maps import octave_anchors, place_anchors
from viewfinder.models.suppression import keep_best

_SMALLEST_SIDE = 1e-3
_LARGEST_OVERLAP = 0.7


class ProposalOutputs(NamedTuple):
    """What the proposal network says of every anchor of every level.

    Attributes:
        objectness_logits: [B, A].
        box_deltas: Shift of the centre and growth of the sides against the anchor, [B, A, 4].
        anchors: Left, top, right, bottom in pixels, [A, 4].
        level_sizes: Number of anchors of each level; they add up to A.
    """

    objectness_logits: Tensor
    box_deltas: Tensor
    anchors: Tensor
    level_sizes: list[int]


class ProposalNetwork(nn.Module):
    """torchvision's region proposal network, with proposals padded to a fixed number.

    Args:
        strides: Stride of each level of the feature pyramid, pixels.
        channels: Channels of each level.
        anchor_scale: Side of a level's anchors in units of its stride.
        aspect_ratios: Height divided by width of the anchors.
        candidates: Anchors of each level that go into non-maximum suppression.
        proposals: Proposals kept in an image.
    """

    def __init__(
        self,
        strides: Sequence[int],
        *,
        channels: int,
        anchor_scale: float,
        aspect_ratios: Sequence[float],
        candidates: int,
        proposals: int,
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        self.candidates = candidates
        self.proposals = proposals
        self.rpn = RegionProposalNetwork(
            octave_anchors(strides, scale=anchor_scale, aspect_ratios=aspect_ratios),
            RPNHead(channels, len(aspect_ratios)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": candidates, "testing": candidates},
            post_nms_top_n={"training": proposals, "testing": proposals},
            nms_thresh=_LARGEST_OVERLAP,
        )

    def forward(self, levels: Sequence[Tensor]) -> ProposalOutputs:
        """Map feature maps [B, C, H, W] to raw outputs."""
        logits, deltas = self.rpn.head(list(levels))
        anchors, sizes = place_anchors(self.rpn.anchor_generator, levels, self.strides)
        flat_logits, flat_deltas = concat_box_prediction_layers(logits, deltas)
        images = levels[0].shape[0]
        return ProposalOutputs(
            flat_logits.reshape(images, -1),
            flat_deltas.reshape(images, -1, 4),
            anchors,
            sizes,
        )

    def losses(self, outputs: ProposalOutputs, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return torchvision's losses against the objects' boxes, [N, 4] for each image."""
        targets = [{"boxes": box} for box in boxes]
        anchors = [outputs.anchors] * len(targets)
        objects, matched = self.rpn.assign_targets_to_anchors(anchors, targets)
        deltas = self.rpn.box_coder.encode(matched, anchors)
        objectness, box = self.rpn.compute_loss(
            outputs.objectness_logits.flatten(), outputs.box_deltas.flatten(0, 1), objects, deltas
        )
        return {"objectness": objectness, "proposal": box}

    @torch.no_grad()
    def best(self, outputs: ProposalOutputs, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Choose proposals for images of ``size`` (height, width).

        Returns:
            Boxes in pixels [B, P, 4] and their scores [B, P], best first, 0 for padding.
        """
        boxes = decode_deltas(self.rpn.box_coder, outputs.box_deltas, outputs.anchors)
        boxes = clip_boxes(boxes, size)
        solid = (boxes[..., 2:] - boxes[..., :2] >= _SMALLEST_SIDE).all(dim=-1)
        scores = torch.where(solid, outputs.objectness_logits.sigmoid(), 0.0)
        kept = keep_best(
            *best_of_levels(boxes, scores.unsqueeze(-1), outputs.level_sizes, self.candidates),
            iou_threshold=_LARGEST_OVERLAP,
            score_threshold=0.0,
            limit=self.proposals,
        )
        return kept["boxes"], kept["scores"]
