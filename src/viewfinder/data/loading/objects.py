"""The objects of a row as arrays: boxes, labels, crowds and masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.data.loading.sample import Sample


def boxes_and_labels(row: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the boxes with an area and their labels; crowds are left out."""
    return boxes_of(objects_without_crowds(row))


def objects_without_crowds(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that are no crowd and whose boxes have an area."""
    return [item for item in objects_and_crowds(row) if not item["crowd"]]


def objects_and_crowds(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects and crowds whose boxes have an area."""
    return [
        item
        for item in row["objects"]
        if item["bbox"][0] < item["bbox"][2] and item["bbox"][1] < item["bbox"][3]
    ]


def crowd_of(objects: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    """Return whether each object is a crowd, shape ``(N,)``."""
    return np.array([item["crowd"] for item in objects], np.bool_)


def boxes_of(
    objects: Sequence[Mapping[str, Any]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes, shape ``(N, 4)``, xyxy in pixels, and labels, shape ``(N,)``."""
    boxes = np.array([item["bbox"] for item in objects], np.float32).reshape(-1, 4)
    return boxes, np.array([item["category"] for item in objects], np.int64)


def decode_rle(rle: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Decode COCO's run lengths into a mask of zeros and ones, shape ``(H, W)``."""
    mask: NDArray[np.uint8] = coco_mask.decode({"size": [height, width], "counts": rle})
    return mask


def lacks_masks(objects: Any) -> str | None:
    """Say how many objects of a flattened column have no mask; None if all have one."""
    without = pc.struct_field(objects, "rle").null_count
    return f"masks ({without} of {len(objects)} objects have none)" if without else None


def count_boxes(objects: pa.ListArray) -> NDArray[np.int64]:
    """Count the boxes with an area of each row of a column, crowds left out, in NumPy alone."""
    items = objects.flatten()
    boxes = items.field("bbox").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    crowd = items.field("crowd").to_numpy(zero_copy_only=False).astype(bool)
    counted = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & ~crowd
    before = np.concatenate([[0], np.cumsum(counted)])
    ends = np.cumsum(objects.value_lengths().to_numpy(zero_copy_only=False))
    return np.diff(before[ends], prepend=0)


def crowds_apart(sample: Sample, targets: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Return the targets of the objects under their names, and those of crowds as ``crowd_…``."""
    crowd = np.zeros(len(sample.boxes), np.bool_) if sample.crowd is None else sample.crowd
    return {
        f"{prefix}{name}": torch.from_numpy(values[chosen])
        for prefix, chosen in (("", ~crowd), ("crowd_", crowd))
        for name, values in targets.items()
    }
