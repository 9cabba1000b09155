"""Batches and their predictions as examples: how good is the prediction for each image?"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.example import Example, Marks
from viewfinder.tasks import Predictions
from viewfinder.tasks.detection import with_crowds, without_padding
from viewfinder.tasks.instances import instances_with_crowds, run_lengths, true_instances
from viewfinder.tasks.matching import corner_and_size, overlaps
from viewfinder.tasks.thresholds import UNDECIDED, told

Describe = Callable[[Predictions, Batch, Sequence[str]], Iterator[Example]]

_GOOD_IOU = 0.5


def describe_classification(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe ``probabilities`` [B, C] against ``label`` [B]; quality: the true class's."""
    for index, probabilities in enumerate(predictions["probabilities"]):
        label = int(batch["label"][index])
        score, found = probabilities.max(dim=0)
        yield Example(
            id=batch["id"][index],
            image=_pixels(batch["image"][index]),
            truth=Marks(),
            predicted=Marks(),
            caption=f"{classes[label]} → {classes[int(found)]} {_percent(float(score))}",
            quality=float(probabilities[label]),
            right=int(found) == label,
        )


def describe_multilabel(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe ``present`` [B, C] against ``labels`` [B, C].

    Quality: minus the number of wrong decisions; among equals, the mean probability of the truth.
    """
    for index, probabilities in enumerate(predictions["probabilities"]):
        present = batch["labels"][index] > 0
        told = predictions["present"][index]
        wrong = int((present != told).sum())
        of_truth = probabilities.where(present, 1 - probabilities)
        yield Example(
            id=batch["id"][index],
            image=_pixels(batch["image"][index]),
            truth=Marks(),
            predicted=Marks(),
            caption=_decided(present, told, classes),
            quality=float(of_truth.mean()) - wrong,
            right=not wrong,
        )


def describe_localization(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe ``probabilities`` [B, C] and ``boxes`` [B, 4]; quality: IoU of the boxes."""
    for index, probabilities in enumerate(predictions["probabilities"]):
        label = int(batch["label"][index])
        box, found_box = batch["box"][index], predictions["boxes"][index]
        score, found = probabilities.max(dim=0)
        iou = float(box_iou(box[None], found_box[None]))
        names = f"{classes[label]} → {classes[int(found)]}"
        yield Example(
            id=batch["id"][index],
            image=_pixels(batch["image"][index]),
            truth=Marks(boxes=box[None].numpy(), labels=np.array([label])),
            predicted=Marks(
                found_box[None].numpy(), np.array([int(found)]), np.array([score], np.float32)
            ),
            caption=f"{names} · IoU {iou:.2f}",
            quality=iou,
            right=int(found) == label and iou >= _GOOD_IOU,
        )


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


def describe_segmentation(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe ``classes`` [B, H, W] against ``mask`` [B, H, W].

    Quality: of the pixels that are no background, in truth or prediction, the share whose class
    is right, which is an IoU; without a background, the pixel accuracy. (The mean over the image's
    classes would fall by far for one stray pixel of another class.)
    """
    solid = torch.tensor([name != BACKGROUND for name in classes])
    measure = "pixel accuracy" if solid.all() else "IoU"
    for mask, found, index in zip(batch["mask"], predictions["classes"], count(), strict=False):
        true, guessed = mask[mask != IGNORE], found[mask != IGNORE]
        counted = solid[true] | solid[guessed]
        right = (true == guessed)[counted]
        quality = float(right.float().mean()) if len(right) else 1.0
        yield Example(
            id=batch["id"][index],
            image=_pixels(batch["image"][index]),
            truth=Marks(mask=mask.numpy().astype(np.uint8)),
            predicted=Marks(mask=found.numpy().astype(np.uint8)),
            caption=f"{measure} {quality:.2f}",
            quality=quality,
        )


_DESCRIBE: dict[str, Describe] = {
    "classification": describe_classification,
    "multilabel": describe_multilabel,
    "localization": describe_localization,
    "detection": describe_detection,
    "instances": describe_instances,
    "segmentation": describe_segmentation,
}


def describe(
    task: str,
    predictions: Predictions,
    batch: Batch,
    classes: Sequence[str],
    thresholds: Sequence[float] | None = None,
) -> Iterator[Example]:
    """Return the examples of a batch, without the detections below their class's threshold.

    Args:
        task: Name of the task.
        predictions: As the table of predictions gives them.
        batch: The batch that they are for.
        classes: Class names.
        thresholds: Score from which on each class is told; None for 0.5.
    """
    if "scores" in predictions:
        predictions = told(predictions, thresholds or [UNDECIDED] * len(classes))
    return _DESCRIBE[task](predictions, batch, classes)


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
        image=_pixels(batch["image"][index]),
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
    inside: NDArray[np.bool_] = ((shares >= _GOOD_IOU) & alike & crowd).any(axis=1)
    return inside


def _matched_overlaps(ious: Tensor, truth: Marks, predicted: Marks) -> dict[int, float]:
    """Match detections to objects of their class, best score first; return IoU by detection."""
    ious = ious * torch.from_numpy(predicted.labels[:, None] == truth.labels[None])
    matched: dict[int, float] = {}
    for index in torch.from_numpy(predicted.scores).argsort(descending=True).tolist():
        if not ious.shape[1]:
            break
        iou, partner = ious[index].max(dim=0)
        if iou >= _GOOD_IOU:
            matched[index] = float(iou)
            ious[:, partner] = 0
    return matched


def _decided(present: Tensor, told: Tensor, classes: Sequence[str]) -> str:
    """Name the classes present if all of them were told, else those that were missed or wrong."""
    missed, wrong = _listed(present & ~told, classes), _listed(told & ~present, classes)
    if missed or wrong:
        parts = (("missed", missed), ("wrong", wrong))
        return " · ".join(f"{kind} {names}" for kind, names in parts if names)
    return _listed(present, classes) or "nothing"


def _listed(present: Tensor, classes: Sequence[str]) -> str:
    return ", ".join(classes[int(label)] for label in present.nonzero())


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return an image [1 or 3, H, W] as RGB, uint8 [H, W, 3]."""
    return image.expand(3, -1, -1).permute(1, 2, 0).numpy()
