"""Batches and their predictions as examples: how good is the prediction for each image?"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.describe_objects import describe_detection, describe_instances
from viewfinder.evaluation.example import Example, Marks, rgb_pixels
from viewfinder.tasks import Predictions
from viewfinder.tasks.matching import GOOD_IOU
from viewfinder.tasks.thresholds import UNDECIDED, told

Describe = Callable[[Predictions, Batch, Sequence[str]], Iterator[Example]]


def describe_classification(
    predictions: Predictions, batch: Batch, classes: Sequence[str]
) -> Iterator[Example]:
    """Describe ``probabilities`` [B, C] against ``label`` [B]; quality: the true class's."""
    for index, probabilities in enumerate(predictions["probabilities"]):
        label = int(batch["label"][index])
        score, found = probabilities.max(dim=0)
        yield Example(
            id=batch["id"][index],
            image=rgb_pixels(batch["image"][index]),
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
            image=rgb_pixels(batch["image"][index]),
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
            image=rgb_pixels(batch["image"][index]),
            truth=Marks(boxes=box[None].numpy(), labels=np.array([label])),
            predicted=Marks(
                found_box[None].numpy(), np.array([int(found)]), np.array([score], np.float32)
            ),
            caption=f"{names} · IoU {iou:.2f}",
            quality=iou,
            right=int(found) == label and iou >= GOOD_IOU,
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
            image=rgb_pixels(batch["image"][index]),
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


def _decided(present: Tensor, told: Tensor, classes: Sequence[str]) -> str:
    """Name the classes present if all of them were told, else those that were missed or wrong."""
    missed, wrong = _listed(present & ~told, classes), _listed(told & ~present, classes)
    if missed or wrong:
        parts = (("missed", missed), ("wrong", wrong))
        return " · ".join(f"{kind} {names}" for kind, names in parts if names)
    return _listed(present, classes) or "nothing"


def _listed(present: Tensor, classes: Sequence[str]) -> str:
    return ", ".join(classes[int(label)] for label in present.nonzero())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
