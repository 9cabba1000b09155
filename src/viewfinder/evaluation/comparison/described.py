"""What is true of an image, and what was predicted for it: in a few words, and as marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.rows import decode_map, decode_masks

Row = Mapping[str, Any]

NOTHING = IGNORE - 1
_FOUND = ("predicted_boxes", "predicted_labels")


@dataclass(frozen=True)
class Drawn:
    """What is drawn over an image, in pixels of the network's input.

    Attributes:
        boxes: Left, top, right and bottom of each object.
        labels: Its class.
        mask: The class of each pixel, uint8 [H, W]; 254 where none is, 255 where none counts.
    """

    boxes: Sequence[Sequence[float]] = ()
    labels: Sequence[int] = ()
    mask: NDArray[np.uint8] | None = None


def true_text(task: str, row: Row, classes: Sequence[str]) -> str:
    """Return the true class or classes; of objects their number, of masks nothing."""
    if task == "multilabel":
        return _names(row["labels"], classes)
    if task in ("classification", "localization"):
        return classes[row["label"]]
    return _objects(len(row["labels"])) if "labels" in row else ""


def predicted_text(info: PredictionsInfo, row: Row) -> str:
    """Return what was predicted, in the same way."""
    task, classes = info.task, info.classes
    if task == "multilabel":
        return _names(row["present"], classes)
    if task in ("classification", "localization"):
        label = int(np.argmax(row["probabilities"]))
        return f"{classes[label]} {100 * row['probabilities'][label]:.0f}\N{NO-BREAK SPACE}%"
    if "labels" not in row:
        return ""
    return _objects(len(info.told(row)))


def true_marks(task: str, row: Row) -> Drawn:
    """Return what is true, to be drawn."""
    if task == "localization":
        return Drawn([row["box"]], [row["label"]])
    if task == "segmentation":
        return Drawn(mask=decode_map(row["mask"]))
    masks = _painted(row, row["masks"], row["labels"]) if "masks" in row else None
    return Drawn(row["boxes"], row["labels"], masks)


def predicted_marks(info: PredictionsInfo, row: Row) -> Drawn:
    """Return what was predicted, to be drawn; of detections those from their threshold on."""
    if info.task == "localization":
        return Drawn([row["predicted_box"]], [int(np.argmax(row["probabilities"]))])
    if info.task == "segmentation":
        return Drawn(mask=decode_map(row["predicted_mask"]))
    shown = info.told(row)
    boxes, labels = ([row[name][i] for i in shown] for name in _FOUND)
    masks = None
    if "masks" in row:
        masks = _painted(row, [row["predicted_masks"][i] for i in shown], labels)
    return Drawn(boxes, labels, masks)


def _names(present: Sequence[bool], classes: Sequence[str]) -> str:
    named = (name for name, there in zip(classes, present, strict=True) if there)
    return ", ".join(named) or "none"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _painted(row: Row, runs: Sequence[bytes], labels: Sequence[int]) -> NDArray[np.uint8]:
    """Return the masks of objects as one mask of their classes."""
    pixels = np.full((row["height"], row["width"]), NOTHING, np.uint8)
    for mask, label in zip(decode_masks(runs, row["height"], row["width"]), labels, strict=True):
        pixels[mask > 0] = label % NOTHING
    return pixels
