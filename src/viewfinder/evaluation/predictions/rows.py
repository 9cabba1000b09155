"""Predictions of a batch, and what is true of it, as rows of the table, and back."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any

import cv2
import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.schema import IGNORE
from viewfinder.tasks import Predictions
from viewfinder.tasks.detection import with_crowds, without_padding
from viewfinder.tasks.instances import instances_with_crowds, pasted_instances, run_lengths
from viewfinder.tasks.thresholds import told

Row = dict[str, Any]

_PREDICTED = ("predicted_boxes", "predicted_labels", "predicted_scores", "predicted_masks")
_LUMINANCE = (0.299, 0.587, 0.114)


def rows_of(task: str, predictions: Predictions, batch: Batch) -> list[Row]:
    """Return a row for each image of a batch, without its loss, score and group.

    Args:
        task: Name of the task.
        predictions: Its predictions, on the CPU.
        batch: The batch that they are for.
    """
    height, width = batch["image"].shape[-2:]
    rows = _ROWS[task](predictions, batch)
    return [
        {"id": name, "height": height, "width": width, "brightness": brightness, **row}
        for name, brightness, row in zip(
            batch["id"], _brightness(batch["image"]), rows, strict=True
        )
    ]


def _brightness(images: Tensor) -> list[float]:
    """Return the mean luminance (ITU-R BT.601) of images, uint8 [B, 1 or 3, H, W], from 0 to 1."""
    means = images.cpu().float().mean(dim=(2, 3)) / 255
    if means.shape[1] == 1:
        return means[:, 0].tolist()
    return (means @ torch.tensor(_LUMINANCE)).tolist()


def predictions_of(
    task: str, rows: Sequence[Mapping[str, Any]], thresholds: Sequence[float]
) -> Predictions:
    """Return the predictions that rows hold, as a task gives them.

    Of segmentation these are ``classes`` [B, H, W], the likeliest class of each pixel; the masks of
    instances, bool [B, K, H, W], lie in the image.

    Args:
        task: Name of the task.
        rows: Of the table of predictions.
        thresholds: Score from which on each class is told, where images have objects; a mask in the
            image is large, so that detections below are left out.
    """
    if task == "instances":
        rows = [_told(row, thresholds) for row in rows]
    return _PREDICTIONS[task](rows)


def _told(row: Mapping[str, Any], thresholds: Sequence[float]) -> Row:
    """Return a row of instances without the detections below their class's threshold."""
    scores = told(
        {
            "scores": torch.tensor(row["predicted_scores"]),
            "labels": torch.tensor(row["predicted_labels"], dtype=torch.int64),
        },
        thresholds,
    )["scores"]
    kept = (scores > 0).tolist()
    return {**row, **{name: list(compress(row[name], kept)) for name in _PREDICTED}}


def _classification_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    return _columns(label=batch["label"], probabilities=predictions["probabilities"])


def _multilabel_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    return _columns(
        labels=batch["labels"] > 0,
        probabilities=predictions["probabilities"],
        present=predictions["present"],
    )


def _localization_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    return _columns(
        label=batch["label"],
        box=batch["box"],
        probabilities=predictions["probabilities"],
        predicted_box=predictions["boxes"],
    )


def _detection_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    truth = with_crowds(batch, "boxes", "labels")
    return [
        _object_row(found, true)
        for found, true in zip(without_padding(predictions), truth, strict=True)
    ]


def _instance_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    found = pasted_instances(predictions, batch["image"].shape[-2:])
    return [
        _object_row(of_image, true)
        | {"masks": encode_masks(true["masks"]), "predicted_masks": encode_masks(of_image["masks"])}
        for of_image, true in zip(found, instances_with_crowds(batch), strict=True)
    ]


def _object_row(found: Predictions, true: Predictions) -> Row:
    return {
        "boxes": true["boxes"].tolist(),
        "labels": true["labels"].tolist(),
        "crowd": true["iscrowd"].bool().tolist(),
        "predicted_boxes": found["boxes"].tolist(),
        "predicted_labels": found["labels"].tolist(),
        "predicted_scores": found["scores"].tolist(),
    }


def _segmentation_rows(predictions: Predictions, batch: Batch) -> list[Row]:
    probabilities, true = predictions["probabilities"], batch["mask"]
    classes = probabilities.argmax(dim=1)
    confidence, given = (
        (100 * probabilities.gather(1, labels[:, None])[:, 0].float()).round()
        for labels in (classes, true.where(true != IGNORE, 0))
    )
    # Elsewhere it would only repeat the confidence, and double what the maps take.
    wrong = (true != IGNORE) & (true != classes)
    maps = {
        "mask": true,
        "predicted_mask": classes,
        "confidence": confidence,
        "given_confidence": given.where(wrong, IGNORE),
    }
    return [
        dict(zip(maps, map(encode_map, of_image), strict=True))
        for of_image in zip(*maps.values(), strict=True)
    ]


_ROWS: dict[str, Callable[[Predictions, Batch], list[Row]]] = {
    "classification": _classification_rows,
    "multilabel": _multilabel_rows,
    "localization": _localization_rows,
    "detection": _detection_rows,
    "instances": _instance_rows,
    "segmentation": _segmentation_rows,
}


def _columns(**values: Tensor) -> list[Row]:
    """Turn tensors with an image a row into a dictionary an image."""
    parts = zip(*(tensor.tolist() for tensor in values.values()), strict=True)
    return [dict(zip(values, part, strict=True)) for part in parts]


def _stacked(**columns: str) -> Callable[[Sequence[Mapping[str, Any]]], Predictions]:
    """Return what stacks columns of rows under the names that a task gives them."""

    def stack(rows: Sequence[Mapping[str, Any]]) -> Predictions:
        return {
            name: torch.tensor([row[column] for row in rows]) for name, column in columns.items()
        }

    return stack


def _detections(rows: Sequence[Mapping[str, Any]]) -> Predictions:
    return {
        "boxes": _padded([torch.tensor(row["predicted_boxes"]).reshape(-1, 4) for row in rows]),
        "scores": _padded([torch.tensor(row["predicted_scores"]) for row in rows]),
        "labels": _padded(
            [torch.tensor(row["predicted_labels"], dtype=torch.int64) for row in rows]
        ),
    }


def _instances(rows: Sequence[Mapping[str, Any]]) -> Predictions:
    masks = [
        torch.from_numpy(decode_masks(row["predicted_masks"], row["height"], row["width"])).bool()
        for row in rows
    ]
    return {**_detections(rows), "masks": _padded(masks)}


def _padded(values: list[Tensor]) -> Tensor:
    return pad_sequence(values, batch_first=True)


def _pixel_classes(rows: Sequence[Mapping[str, Any]]) -> Predictions:
    maps = [torch.from_numpy(decode_map(row["predicted_mask"])).long() for row in rows]
    return {"classes": torch.stack(maps)}


_PREDICTIONS: dict[str, Callable[[Sequence[Mapping[str, Any]]], Predictions]] = {
    "classification": _stacked(probabilities="probabilities"),
    "multilabel": _stacked(probabilities="probabilities", present="present"),
    "localization": _stacked(probabilities="probabilities", boxes="predicted_box"),
    "detection": _detections,
    "instances": _instances,
    "segmentation": _pixel_classes,
}


def encode_map(classes: Tensor) -> bytes:
    """Encode the class or the percentage of each pixel, [H, W], whole and below 256, as PNG."""
    encoded = cv2.imencode(".png", classes.numpy().astype(np.uint8))[1]
    return bytes(encoded)


def decode_map(content: bytes) -> NDArray[np.uint8]:
    """Decode what ``encode_map`` gave to uint8 [H, W]."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.uint8)


def encode_masks(masks: Tensor) -> list[bytes]:
    """Encode masks, bool [N, H, W], as COCO's run lengths."""
    return [run["counts"] for run in run_lengths(masks)]


def decode_masks(runs: Sequence[bytes], height: int, width: int) -> NDArray[np.uint8]:
    """Decode COCO's run lengths to masks of zeros and ones, uint8 [N, H, W]."""
    if not runs:
        return np.zeros((0, height, width), np.uint8)
    coded = [{"size": [height, width], "counts": run} for run in runs]
    masks: NDArray[np.uint8] = coco_mask.decode(coded)
    return np.ascontiguousarray(masks.transpose(2, 0, 1))
