"""Detections of a batch as examples: which are right, what was missed, what is wrong?"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.example import Example, Marks, rgb_pixels
from viewfinder.tasks import Predictions
from viewfinder.tasks.detection import with_crowds, without_padding
from viewfinder.tasks.instances import instances_with_crowds, run_lengths, true_instances
from viewfinder.tasks.matching import GOOD_IOU, corner_and_size, overlaps


def describe_detection(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe padded detections, those with a score of more than 0.

    Quality: minus the number of missed objects and wrong detections; among equals, the mean IoU
    of the detections that are right.
    """
    pairs = zip(without_padding(predictions), with_crowds(batch, "boxes", "labels"), strict=True)
    for index, (found, true) in enumerate(pairs):
        true_boxes, true_labels = batch["boxes"][index], batch["labels"][index]
        yield _objects_example(
            batch,
            index,
            box_iou(found["boxes"], true_boxes),
            _in_crowds(found, true, *(corner_and_size(side["boxes"]) for side in (found, true))),
            truth=Marks(boxes=true_boxes.numpy(), labels=true_labels.numpy()),
            predicted=Marks(
                found["boxes"].numpy(), found["labels"].numpy(), found["scores"].numpy()
            ),
        )


def describe_instances(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe padded detections with masks, bool [B, K, H, W], as ``describe_detection`` does.

    The overlaps are those of the masks.
    """
    triples = zip(
        without_padding(predictions),
        true_instances(batch),
        instances_with_crowds(batch),
        strict=True,
    )
    for index, (found, true, every) in enumerate(triples):
        yield _objects_example(
            batch,
            index,
            _mask_iou(found["masks"], true["masks"]),
            _in_crowds(found, every, *(run_lengths(side["masks"]) for side in (found, every))),
            truth=Marks(
                true["boxes"].numpy(), true["labels"].numpy(), outlines=mask_outlines(true["masks"])
            ),
            predicted=Marks(
                found["boxes"].numpy(),
                found["labels"].numpy(),
                found["scores"].numpy(),
                outlines=mask_outlines(found["masks"]),
            ),
        )


def _objects_example(
    batch: Batch,
    index: int,
    ious: Tensor,
    in_crowds: NDArray[np.bool_],
    *,
    truth: Marks,
    predicted: Marks,
) -> Example:
    """Compare detections with objects, whose IoU is [detections, objects].

    Detections that find no object but lie in a crowd of their class are not wrong.
    """
    matched = _matched_overlaps(ious, truth, predicted)
    excused = in_crowds.copy()
    excused[list(matched)] = False
    missed = len(truth.labels) - len(matched)
    wrong = len(predicted.labels) - len(matched) - int(excused.sum())
    mean_iou = sum(matched.values()) / len(matched) if matched else 0.0
    return Example(
        id=batch["id"][index],
        image=rgb_pixels(batch["image"][index]),
        truth=truth,
        predicted=predicted,
        caption=f"{len(matched)} found · {missed} missed · {wrong} wrong",
        quality=mean_iou - missed - wrong,
        right=not missed and not wrong,
    )


def _in_crowds(
    found: Predictions, true: Predictions, regions: Any, others: Any
) -> NDArray[np.bool_]:
    """Return which detections lie to a half in a crowd of their class, bool [D]."""
    crowd = true["iscrowd"].bool().numpy()
    shares = overlaps(regions, others, crowd)
    alike = found["labels"].numpy()[:, None] == true["labels"].numpy()[None]
    inside: NDArray[np.bool_] = ((shares >= GOOD_IOU) & alike & crowd).any(axis=1)
    return inside


def _matched_overlaps(ious: Tensor, truth: Marks, predicted: Marks) -> dict[int, float]:
    """Match detections to objects of their class, best score first; return IoU by detection."""
    ious = ious * torch.from_numpy(predicted.labels[:, None] == truth.labels[None])
    matched: dict[int, float] = {}
    for index in torch.from_numpy(predicted.scores).argsort(descending=True).tolist():
        if not ious.shape[1]:
            break
        iou, partner = ious[index].max(dim=0)
        if iou >= GOOD_IOU:
            matched[index] = float(iou)
            ious[:, partner] = 0
    return matched


def _mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union of masks, bool [N, H, W] and [M, H, W], as [N, M]."""
    flat, other = masks.flatten(1).float(), others.flatten(1).float()
    common = flat @ other.T
    union = flat.sum(dim=1)[:, None] + other.sum(dim=1)[None] - common
    return common / union.clamp(min=1)


def mask_outlines(masks: Tensor) -> list[list[NDArray[np.float32]]]:
    """Return the closed lines around each mask, bool [N, H, W], through its border pixels."""
    lines = []
    for mask in masks.numpy().astype(np.uint8):
        found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        lines.append([line[:, 0].astype(np.float32) + 0.5 for line in found])
    return lines
