"""What is true of an image, and what was predicted for it, in a few words and as drawings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.describe import SHOWN_SCORE
from viewfinder.evaluation.predictions.rows import decode_map, decode_masks, encode_map

Row = Mapping[str, Any]


def true_text(task: str, row: Row, classes: Sequence[str]) -> str:
    """Return the true class or classes; of objects their number, of masks nothing."""
    if task == "multilabel":
        return _names(row["labels"], classes)
    if task in ("classification", "localization"):
        return classes[row["label"]]
    return _objects(len(row["labels"])) if "labels" in row else ""


def predicted_text(task: str, row: Row, classes: Sequence[str]) -> str:
    """Return what was predicted, in the same way."""
    if task == "multilabel":
        return _names(row["present"], classes)
    if task in ("classification", "localization"):
        label = int(np.argmax(row["probabilities"]))
        return f"{classes[label]} {100 * row['probabilities'][label]:.0f} %"
    if "labels" not in row:
        return ""
    return _objects(sum(score >= SHOWN_SCORE for score in row["predicted_scores"]))


def true_marks(task: str, row: Row, classes: Sequence[str]) -> dict[str, Any]:
    """Return the truth as columns of a split, in the network's input."""
    if task == "localization":
        return {"objects": [_object(row["box"], row["label"])]}
    if task == "segmentation":
        return {"mask": _mask(decode_map(row["mask"]), classes)}
    if "boxes" not in row:
        return {}
    masks = {"mask": _painted(row, "masks", row["labels"])} if "masks" in row else {}
    return {"objects": list(map(_object, row["boxes"], row["labels"])), **masks}


def predicted_marks(task: str, row: Row, classes: Sequence[str]) -> dict[str, Any]:
    """Return what was predicted, in the same way; of detections those that are likely enough."""
    if task == "localization":
        label = int(np.argmax(row["probabilities"]))
        return {"objects": [_object(row["predicted_box"], label)]}
    if task == "segmentation":
        return {"mask": _mask(decode_map(row["predicted_mask"]), classes)}
    if "boxes" not in row:
        return {}
    shown = [i for i, score in enumerate(row["predicted_scores"]) if score >= SHOWN_SCORE]
    chosen = {
        **row,
        **{
            name: [row[name][i] for i in shown]
            for name in ("predicted_boxes", "predicted_labels", "predicted_masks")
            if name in row
        },
    }
    labels = chosen["predicted_labels"]
    masks = {"mask": _painted(chosen, "predicted_masks", labels)} if "masks" in row else {}
    return {"objects": list(map(_object, chosen["predicted_boxes"], labels)), **masks}


def _names(present: Sequence[bool], classes: Sequence[str]) -> str:
    named = (name for name, there in zip(classes, present, strict=True) if there)
    return ", ".join(named) or "none"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _object(box: Sequence[float], label: int) -> dict[str, Any]:
    return {"bbox": box, "category": label, "rle": None}


def _mask(pixels: NDArray[np.uint8], classes: Sequence[str]) -> dict[str, bytes]:
    """Return a mask without its background."""
    if BACKGROUND in classes:
        pixels = np.where(pixels == classes.index(BACKGROUND), IGNORE, pixels)
    return {"bytes": encode_map(torch.from_numpy(pixels))}


def _painted(row: Row, column: str, labels: Sequence[int]) -> dict[str, bytes]:
    """Return the masks of objects as one of their classes."""
    pixels = np.full((row["height"], row["width"]), IGNORE, np.uint8)
    masks = decode_masks(row[column], row["height"], row["width"])
    for mask, label in zip(masks, labels, strict=True):
        pixels[mask > 0] = label % IGNORE
    return {"bytes": encode_map(torch.from_numpy(pixels))}
