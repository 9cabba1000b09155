"""What ``predictions.parquet`` holds: a row an image, its truth and what was predicted."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from viewfinder.tasks.thresholds import UNDECIDED, told_places

_METADATA_KEY = b"viewfinder"
VERSION = 2

_SHARES = pa.list_(pa.float32())
_BOX = pa.list_(pa.float32(), 4)
_CLASSES = pa.list_(pa.int64())
_OBJECTS = {
    "boxes": pa.list_(_BOX),
    "labels": _CLASSES,
    "crowd": pa.list_(pa.bool_()),
    "predicted_boxes": pa.list_(_BOX),
    "predicted_labels": _CLASSES,
    "predicted_scores": _SHARES,
}
_EVERY_TASK = {
    "id": pa.string(),
    "group": pa.string(),
    "height": pa.int32(),  # of the model's input, which all boxes and masks lie in, pixels
    "width": pa.int32(),
    "brightness": pa.float32(),  # mean luminance of the model's input, from 0 to 1
    "loss": pa.float32(),
    "score": pa.float32(),  # orders images from the worst prediction (smallest) to the best
}
# Masks of objects are COCO's run lengths, those of whole images PNG.
_BY_TASK: dict[str, dict[str, pa.DataType]] = {
    "classification": {"label": pa.int64(), "probabilities": _SHARES},
    "multilabel": {
        "labels": pa.list_(pa.bool_()),
        "probabilities": _SHARES,
        "present": pa.list_(pa.bool_()),
    },
    "localization": {
        "label": pa.int64(),
        "box": _BOX,
        "probabilities": _SHARES,
        "predicted_box": _BOX,
    },
    "detection": _OBJECTS,
    "instances": {
        **_OBJECTS,
        "masks": pa.list_(pa.binary()),
        "predicted_masks": pa.list_(pa.binary()),
    },
    "segmentation": {
        "mask": pa.binary(),
        "predicted_mask": pa.binary(),
        "confidence": pa.binary(),  # of the predicted class, whole percent
        "given_confidence": pa.binary(),  # of the true class where another is predicted; else 255
    },
}


@dataclass(frozen=True)
class PredictionsInfo:
    """What a table of predictions says of itself.

    Attributes:
        task: Name of the task.
        classes: Class names; a class index counts into them.
        dataset: Name of the data set.
        digest: SHA-256 of the split that was predicted for.
        thresholds: Of each class where images may show several, the probability or score from
            which on it is told.
        temperature: What the logits were divided by, where probabilities are scaled.
        version: Version of the columns.
    """

    task: str
    classes: list[str]
    dataset: str
    digest: str
    thresholds: list[float] | None = None
    temperature: float | None = None
    version: int = VERSION

    @property
    def told_from(self) -> list[float]:
        """The thresholds; 0.5 of each class where the table has none."""
        return self.thresholds or [UNDECIDED] * len(self.classes)

    def told(self, row: Mapping[str, Any]) -> NDArray[np.int64]:
        """Return the places of a row's detections that are told, int64."""
        labels = np.array(row["predicted_labels"], np.int64)
        scores = np.array(row["predicted_scores"], np.float64)
        return told_places(labels, scores, self.told_from)


def predictions_schema(info: PredictionsInfo) -> pa.Schema:
    """Return the columns of a task's predictions, with their description as metadata."""
    metadata = {_METADATA_KEY: json.dumps(asdict(info)).encode()}
    return pa.schema({**_EVERY_TASK, **_BY_TASK[info.task]}, metadata=metadata)


def read_info(schema: pa.Schema) -> PredictionsInfo:
    """Read what a table says of itself.

    Raises:
        KeyError: If it says nothing.
    """
    return PredictionsInfo(**json.loads((schema.metadata or {})[_METADATA_KEY]))
