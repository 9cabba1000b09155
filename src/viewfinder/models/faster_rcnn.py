"""torchvision's Faster R-CNN on the features of any timm backbone.

Source: S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN: Towards Real-Time Object Detection with
Region Proposal Networks, NeurIPS 2015.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import (
    RegionProposalNetwork,
    RPNHead,
    concat_box_prediction_layers,
)

from viewfinder.models.dense import (
    best_of_levels,
    clip_boxes,
    decode_deltas,
    gather_boxes,
)
from viewfinder.models.feature_maps import FeaturePyramid, octave_anchors, place_anchors
from viewfinder.models.regions import RegionPool, number_regions
from viewfinder.models.suppression import keep_best

_SMALLEST_SIDE = 1e-3
_PROPOSAL_OVERLAP = 0.7


class RegionOutputs(NamedTuple):
    """Raw outputs of the first stage: features, and what the proposal network says of anchors.

    Attributes:
        levels: Feature maps [B, C, H, W], the finest first.
        objectness_logits: [B, A].
        box_deltas: Shift of the centre and growth of the sides against the anchor, [B, A, 4].
        anchors: Left, top, right, bottom in pixels, [A, 4].
        level_sizes: Number of anchors of each level; they add up to A.
        size: Height and width of the images, pixels.
    """

    levels: list[Tensor]
    objectness_logits: Tensor
    box_deltas: Tensor
    anchors: Tensor
    level_sizes: list[int]
    size: tuple[int, int]


class Sampled(NamedTuple):
    """Proposals that the second stage learns from, one entry an image.

    Attributes:
        boxes: Left, top, right, bottom in pixels, [R, 4].
        matched: Number of the object that each proposal overlaps most, int64 [R].
        labels: Class of that object counted from 1, or 0 for background, int64 [R].
        deltas: How the object's box differs from the proposal, [R, 4].
    """

    boxes: list[Tensor]
    matched: list[Tensor]
    labels: list[Tensor]
    deltas: list[Tensor]


class FasterRCNN(nn.Module):
    """Faster R-CNN: the first stage in ``forward``, the second in ``losses`` and ``decode``.

    torchvision's ``RegionProposalNetwork`` and ``RoIHeads`` hold the layers, the matching, the
    sampling and the losses. Proposals and detections are padded to fixed numbers, so that the
    network exports to ONNX for any batch size.

    Args:
        num_classes: Number of classes, without a background.
        backbone: Name of a timm model.
        pretrained: Whether to start from timm's weights.
        stages: Which feature maps of the backbone the detector works on.
        channels: Channels of the pyramid.
        extra_levels: Coarser levels for proposals; see ``FeaturePyramid``.
        anchor_scale: Side of a level's anchors in units of its stride.
        aspect_ratios: Height divided by width of the anchors.
        hidden: Width of the second stage.
        region_side: Cells along each side of a pooled region.
        proposals: Proposals of an image that go to the second stage.
        sampled: Proposals of an image that the second stage learns from.
        score_threshold: Detections below it are dropped.
        iou_threshold: Of two boxes of a class that overlap more, the better is kept.
        candidates: Anchors of each level, and detections, that go into non-maximum suppression.
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
        extra_levels: int = 0,
        anchor_scale: float = 8.0,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        hidden: int = 256,
        region_side: int = 7,
        proposals: int = 200,
        sampled: int = 128,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        candidates: int = 1000,
        detections: int = 100,
    ) -> None:
        super().__init__()
        self.pyramid = FeaturePyramid(
            backbone,
            pretrained=pretrained,
            stages=stages,
            channels=channels,
            extra_levels=extra_levels,
        )
        limits = {"training": candidates, "testing": candidates}
        kept = {"training": proposals, "testing": proposals}
        self.rpn = RegionProposalNetwork(
            octave_anchors(self.pyramid.strides, scale=anchor_scale, aspect_ratios=aspect_ratios),
            RPNHead(channels, len(aspect_ratios)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=limits,
            post_nms_top_n=kept,
            nms_thresh=_PROPOSAL_OVERLAP,
        )
        # The extra levels are for large anchors only.
        self.pooled_strides = self.pyramid.strides[: len(stages)]
        self.roi_heads = RoIHeads(
            RegionPool(self.pooled_strides, region_side),
            TwoMLPHead(channels * region_side**2, hidden),
            FastRCNNPredictor(hidden, num_classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=sampled,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=score_threshold,
            nms_thresh=iou_threshold,
            detections_per_img=detections,
        )
        self.proposals = proposals
        self.candidates = candidates

    def forward(self, images: Tensor) -> RegionOutputs:
        """Map images [B, 3, H, W] to features and the raw outputs of the proposal network."""
        levels = self.pyramid(images)
        logits, deltas = self.rpn.head(levels)
        anchors, sizes = place_anchors(self.rpn.anchor_generator, levels, self.pyramid.strides)
        flat_logits, flat_deltas = concat_box_prediction_layers(logits, deltas)
        count = images.shape[0]
        height, width = images.shape[-2:]
        return RegionOutputs(
            levels,
            flat_logits.reshape(count, -1),
            flat_deltas.reshape(count, -1, 4),
            anchors,
            sizes,
            (height, width),
        )

    def losses(
        self, outputs: RegionOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's losses of both stages.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        sampled = self.sample(outputs, boxes, labels)
        return self.proposal_losses(outputs, boxes) | self.region_losses(outputs, sampled)

    def proposal_losses(self, outputs: RegionOutputs, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the losses of the first stage."""
        targets = [{"boxes": box} for box in boxes]
        anchors = [outputs.anchors] * len(targets)
        objects, matched = self.rpn.assign_targets_to_anchors(anchors, targets)
        deltas = self.rpn.box_coder.encode(matched, anchors)
        objectness, box = self.rpn.compute_loss(
            outputs.objectness_logits.flatten(), outputs.box_deltas.flatten(0, 1), objects, deltas
        )
        return {"objectness": objectness, "proposal": box}

    def region_losses(self, outputs: RegionOutputs, sampled: Sampled) -> dict[str, Tensor]:
        """Return the losses of the second stage."""
        logits, deltas = self._judge(outputs, join_regions(sampled.boxes))
        classification, box = fastrcnn_loss(logits, deltas, sampled.labels, sampled.deltas)
        return {"classification": classification, "box": box}

    @torch.no_grad()
    def sample(
        self, outputs: RegionOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Sampled:
        """Draw the proposals that the second stage learns from."""
        proposed, scores = self.propose(outputs)
        found = [box[score > 0] for box, score in zip(proposed, scores, strict=True)]
        targets = [
            {"boxes": box, "labels": label + 1} for box, label in zip(boxes, labels, strict=True)
        ]
        drawn, matched, classes, deltas = self.roi_heads.select_training_samples(found, targets)
        return Sampled(drawn, matched, classes, list(deltas))

    def propose(self, outputs: RegionOutputs) -> tuple[Tensor, Tensor]:
        """Return the best proposals, [B, P, 4] in pixels, and their scores [B, P], 0 for padding.

        No gradient flows through them.
        """
        deltas = outputs.box_deltas.detach()
        boxes = decode_deltas(self.rpn.box_coder, deltas, outputs.anchors)
        boxes = clip_boxes(boxes, outputs.size)
        solid = (boxes[..., 2:] - boxes[..., :2] >= _SMALLEST_SIDE).all(dim=-1)
        scores = torch.where(solid, outputs.objectness_logits.detach().sigmoid(), 0.0)
        best, found, labels = best_of_levels(
            boxes, scores.unsqueeze(-1), outputs.level_sizes, self.candidates
        )
        kept = keep_best(
            best,
            found,
            labels,
            iou_threshold=_PROPOSAL_OVERLAP,
            score_threshold=0.0,
            limit=self.proposals,
        )
        return kept["boxes"], kept["scores"]

    def decode(self, outputs: RegionOutputs, size: tuple[int, int]) -> dict[str, Tensor]:
        """Turn raw outputs into the best detections of each image.

        Args:
            outputs: What ``forward`` returned.
            size: Height and width of the images, pixels.

        Returns:
            ``boxes`` [B, K, 4] as left, top, right, bottom in pixels, ``scores`` [B, K] from best
            to worst, 0 where there are fewer than K, and ``labels`` int64 [B, K].
        """
        proposals, objectness = self.propose(outputs)
        regions = number_regions(proposals)
        logits, deltas = self._judge(outputs, regions)
        boxes = self.roi_heads.box_coder.decode_single(deltas, regions[:, 1:])
        count, classes = proposals.shape[1], logits.shape[-1]
        # The first class is the background.
        boxes = boxes.reshape(-1, count, classes, 4)[:, :, 1:].flatten(1, 2)
        probabilities = logits.softmax(dim=-1).reshape(-1, count, classes)[..., 1:]
        scores = (probabilities * (objectness > 0).unsqueeze(-1)).flatten(1)
        best, index = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
        return keep_best(
            clip_boxes(gather_boxes(boxes, index), size),
            best,
            index % (classes - 1),
            iou_threshold=self.roi_heads.nms_thresh,
            score_threshold=self.roi_heads.score_thresh,
            limit=self.roi_heads.detections_per_img,
        )

    def _judge(self, outputs: RegionOutputs, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits [R, C + 1] and box deltas [R, 4 * (C + 1)] of regions [R, 5]."""
        heads = self.roi_heads
        pooled = heads.box_roi_pool(outputs.levels[: len(self.pooled_strides)], regions)
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        return logits, deltas


def join_regions(boxes: Sequence[Tensor]) -> Tensor:
    """Put the number of its image before each box: [R, 4] for each image to [all, 5]."""
    numbered = [
        torch.cat([torch.full_like(part[:, :1], number), part], dim=1)
        for number, part in enumerate(boxes)
    ]
    return torch.cat(numbered)
