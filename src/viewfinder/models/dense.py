"""What detectors share that predict a box for each cell or anchor of a few grids."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.models.suppression import keep_best


class DenseDetector(nn.Module, ABC):
    """A detector whose raw outputs hold ``level_sizes``, the number of boxes of each level.

    Args:
        score_threshold: Detections below it are dropped.
        iou_threshold: Of two boxes of a class that overlap more, the better is kept.
        candidates: Detections of each level that go into non-maximum suppression.
        detections: Detections kept in an image.
    """

    def __init__(
        self,
        *,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.6,
        candidates: int = 1000,
        detections: int = 100,
    ) -> None:
        super().__init__()
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.candidates = candidates
        self.detections = detections

    @abstractmethod
    def boxes(self, outputs: Any) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, A, 4]."""

    @abstractmethod
    def scores(self, outputs: Any) -> Tensor:
        """Return the scores of the classes in [0, 1], [B, A, C]."""

    def decode(self, outputs: Any, size: tuple[int, int]) -> dict[str, Tensor]:
        """Turn raw outputs into the best detections of each image.

        Args:
            outputs: What ``forward`` returned.
            size: Height and width of the images, pixels.

        Returns:
            ``boxes`` [B, K, 4] as left, top, right, bottom in pixels, ``scores`` [B, K] from best
            to worst, 0 where there are fewer than K, and ``labels`` int64 [B, K].
        """
        boxes = clip_boxes(self.boxes(outputs), size)
        return keep_best(
            *best_of_levels(boxes, self.scores(outputs), outputs.level_sizes, self.candidates),
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
            limit=self.detections,
        )


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut boxes [..., 4] in pixels at the border of an image of ``size`` (height, width)."""
    height, width = size
    limits = torch.tensor([width, height] * 2, dtype=boxes.dtype, device=boxes.device)
    return boxes.clamp(min=0).minimum(limits)


def best_of_levels(
    boxes: Tensor, scores: Tensor, level_sizes: Sequence[int], limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the best pairs of box and class of each level.

    Args:
        boxes: [B, A, 4].
        scores: [B, A, C].
        level_sizes: Number of boxes of each level; they add up to A.
        limit: Pairs chosen of a level.

    Returns:
        Boxes [B, N, 4], scores [B, N] and classes, int64 [B, N].
    """
    sizes = list(level_sizes)
    levels = zip(torch.split(boxes, sizes, 1), torch.split(scores, sizes, 1), strict=True)
    chosen = [_best_pairs(*level, limit) for level in levels]
    best, found, labels = (torch.cat(parts, 1) for parts in zip(*chosen, strict=True))
    return best, found, labels


def _best_pairs(boxes: Tensor, scores: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    classes = scores.shape[-1]
    best, index = scores.flatten(1).topk(min(limit, scores.shape[1] * classes), dim=1)
    return gather_boxes(boxes, index // classes), best, index % classes


def gather_boxes(boxes: Tensor, index: Tensor) -> Tensor:
    """Take boxes [B, A, 4] by their numbers [B, N]."""
    return boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))


def decode_deltas(coder: Any, deltas: Tensor, anchors: Tensor) -> Tensor:
    """Apply box deltas to anchors.

    Args:
        coder: A ``BoxCoder`` of torchvision.
        deltas: [B, A, 4].
        anchors: Left, top, right, bottom in pixels, [A, 4].

    Returns:
        Left, top, right, bottom in pixels, [B, A, 4].
    """
    spread = anchors.expand(deltas.shape[0], -1, -1)
    boxes: Tensor = coder.decode_single(deltas.reshape(-1, 4), spread.reshape(-1, 4))
    return boxes.reshape(deltas.shape)
