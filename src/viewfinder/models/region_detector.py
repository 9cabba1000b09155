"""What Faster R-CNN and Mask R-CNN share: two stages on a feature pyramid.

Source: S. Ren, K. He, R. Girshick, J. Sun, Faster R-CNN: Towards Real-Time Object Detection with
Region Proposal Networks, NeurIPS 2015.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss

from viewfinder.models.dense import clip_boxes, gather_boxes
from viewfinder.models.feature_maps import FeaturePyramid
from viewfinder.models.proposals import ProposalNetwork, ProposalOutputs
from viewfinder.models.regions import RegionPool, join_regions, number_regions
from viewfinder.models.suppression import keep_best


class RegionOutputs(NamedTuple):
    """Raw outputs of the first stage.

    Attributes:
        levels: Feature maps that regions are pooled from, [B, C, H, W], the finest first.
        proposals: What the proposal network says.
        size: Height and width of the images, pixels.
    """

    levels: list[Tensor]
    proposals: ProposalOutputs
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


class RegionDetector(nn.Module):
    """A detector with the first stage in ``forward`` and the second in ``losses`` and ``decode``.

    torchvision's ``RegionProposalNetwork`` and ``RoIHeads`` hold the layers, the matching, the
    sampling and the losses. Proposals and detections are padded to fixed numbers, so that the
    network exports to ONNX for any batch size.

    Args:
        num_classes: Number of classes, without a background.
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
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
        weights: str | None = None,
        in_channels: int = 3,
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
            weights=weights,
            in_channels=in_channels,
            stages=stages,
            channels=channels,
            extra_levels=extra_levels,
        )
        self.proposal_network = ProposalNetwork(
            self.pyramid.strides,
            channels=channels,
            anchor_scale=anchor_scale,
            aspect_ratios=aspect_ratios,
            candidates=candidates,
            proposals=proposals,
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
        self.candidates = candidates

    def forward(self, images: Tensor) -> RegionOutputs:
        """Map images [B, in_channels, H, W] to features and what is proposed."""
        height, width = images.shape[-2:]
        levels = self.pyramid(images)
        pooled = levels[: len(self.pooled_strides)]
        return RegionOutputs(pooled, self.proposal_network(levels), (height, width))

    @torch.no_grad()
    def sample(
        self, outputs: RegionOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Sampled:
        """Draw the proposals that the second stage learns from."""
        proposed, scores = self.proposal_network.best(outputs.proposals, outputs.size)
        found = [box[score > 0] for box, score in zip(proposed, scores, strict=True)]
        targets = [
            {"boxes": box, "labels": label + 1} for box, label in zip(boxes, labels, strict=True)
        ]
        drawn, matched, classes, deltas = self.roi_heads.select_training_samples(found, targets)
        return Sampled(drawn, matched, classes, list(deltas))

    def box_losses(
        self, outputs: RegionOutputs, sampled: Sampled, boxes: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's losses of both stages, without masks."""
        logits, deltas = self._judge(outputs, join_regions(sampled.boxes))
        classification, box = fastrcnn_loss(logits, deltas, sampled.labels, sampled.deltas)
        return {
            **self.proposal_network.losses(outputs.proposals, boxes),
            "classification": classification,
            "box": box,
        }

    def decode(self, outputs: RegionOutputs, size: tuple[int, int]) -> dict[str, Tensor]:
        """Turn raw outputs into the best detections of each image.

        Args:
            outputs: What ``forward`` returned.
            size: Height and width of the images, pixels.

        Returns:
            ``boxes`` [B, K, 4] as left, top, right, bottom in pixels, ``scores`` [B, K] from best
            to worst, 0 where there are fewer than K, and ``labels`` int64 [B, K].
        """
        proposals, objectness = self.proposal_network.best(outputs.proposals, size)
        regions = number_regions(proposals)
        logits, deltas = self._judge(outputs, regions)
        boxes = self.roi_heads.box_coder.decode_single(deltas, regions[:, 1:])
        count, classes = proposals.shape[1], logits.shape[-1]
        # The first class is the background.
        boxes = boxes.reshape(-1, count, classes, 4)[:, :, 1:].flatten(1, 2)
        scores = _class_scores(logits, objectness).flatten(1)
        best, index = scores.topk(min(self.candidates, scores.shape[1]), dim=1)
        return keep_best(
            clip_boxes(gather_boxes(boxes, index), size),
            best,
            index % (classes - 1),
            iou_threshold=self.roi_heads.nms_thresh,
            score_threshold=self.roi_heads.score_thresh,
            limit=self.roi_heads.detections_per_img,
        )

    def scores(self, outputs: RegionOutputs) -> Tensor:
        """Return the scores of the classes of all proposals in [0, 1], [B, P, C]."""
        proposals, objectness = self.proposal_network.best(outputs.proposals, outputs.size)
        logits, _ = self._judge(outputs, number_regions(proposals))
        return _class_scores(logits, objectness)

    def scores_of_region(self, outputs: RegionOutputs, region: Tensor) -> Tensor:
        """Return the scores of the classes of one region [4] of each image, [B, 1, C]."""
        regions = region.expand(outputs.levels[0].shape[0], 1, 4)
        logits, _ = self._judge(outputs, number_regions(regions))
        return _class_scores(logits, torch.ones_like(regions[..., 0]))

    def proposed(self, outputs: RegionOutputs) -> Tensor:
        """Return the regions that ``scores`` judges, in pixels, [B, P, 4]."""
        return self.proposal_network.best(outputs.proposals, outputs.size)[0]

    def _judge(self, outputs: RegionOutputs, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits [R, C + 1] and box deltas [R, 4 * (C + 1)] of regions [R, 5]."""
        heads = self.roi_heads
        pooled = heads.box_roi_pool(outputs.levels, regions)
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        return logits.float(), deltas.float()


def _class_scores(logits: Tensor, objectness: Tensor) -> Tensor:
    """Return the classes' scores [B, P, C] from logits [B * P, C + 1], 0 for padding."""
    probabilities = logits.softmax(dim=-1).reshape(-1, objectness.shape[1], logits.shape[-1])
    # The first class is the background.
    return probabilities[..., 1:] * (objectness > 0).unsqueeze(-1)
