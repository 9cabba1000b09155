"""Non-maximum suppression of a batch, as one operator that exports to ONNX."""

import torch
from torch import Tensor
from torchvision.ops import nms


@torch.library.custom_op("viewfinder::suppress", mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Set the score of every box to 0 that overlaps a better one of its image.

    Args:
        boxes: Left, top, right, bottom, float32 [B, N, 4].
        scores: Float32 [B, N], not negative.
        iou_threshold: Overlap above which the worse box loses.

    Returns:
        The scores that are left, float32 [B, N].
    """
    kept = torch.zeros_like(scores)
    for image in range(len(boxes)):
        candidates = scores[image].nonzero().squeeze(1)
        found = nms(boxes[image, candidates], scores[image, candidates], iou_threshold)
        index = candidates[found]
        kept[image, index] = scores[image, index]
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores)


def keep_best(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    iou_threshold: float,
    score_threshold: float,
    limit: int,
) -> dict[str, Tensor]:
    """Keep the best detections of each image, class by class.

    Args:
        boxes: Left, top, right, bottom in pixels, float32 [B, N, 4].
        scores: Float32 [B, N].
        labels: Class indices, int64 [B, N].
        iou_threshold: Of two boxes of a class that overlap more, the better is kept.
        score_threshold: Detections below it are dropped.
        limit: Detections kept in an image, K.

    Returns:
        ``boxes`` [B, K, 4], ``scores`` [B, K] from best to worst with 0 for padding, and
        ``labels`` [B, K].
    """
    scores = torch.where(scores > score_threshold, scores, 0.0)
    apart = labels.unsqueeze(-1) * (boxes.amax(dim=(1, 2), keepdim=True) + 1)
    kept = suppress(boxes + apart, scores, iou_threshold)
    best, index = kept.topk(min(limit, kept.shape[1]), dim=1)
    return {
        "boxes": boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)),
        "scores": best,
        "labels": labels.gather(1, index),
    }
