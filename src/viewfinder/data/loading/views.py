"""What a task sees of a data set: the poorest view that suffices.

A view says which columns it can be made from, decodes one row into a sample, and turns the
transformed sample into the tensors of a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.data.loading.decode import decode_image, decode_mask
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.split_file import SplitFile

BACKGROUND = "background"


class View(Protocol):
    """How one kind of task sees a row.

    Attributes:
        columns: The columns of a split file that it reads.
        keeps_boxes: Whether a sample is of no use once an augmentation cropped a box away.
    """

    columns: ClassVar[list[str]]
    keeps_boxes: ClassVar[bool]

    def lacks(self, split: SplitFile) -> str | None:
        """Return what the data set lacks for this view, or None if it can serve it."""

    def classes(self, split: SplitFile) -> list[str]:
        """Return the names of the classes that a model of this view tells apart."""

    def sample(self, row: Mapping[str, Any]) -> Sample:
        """Decode a row; its image may be decoded already, at another scale than its own."""

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        """Return the tensors that the losses and metrics need."""


@runtime_checkable
class WholeImageView(View, Protocol):
    """A view whose targets do not depend on where things are, so that they need no sample."""

    def row_targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Return the targets of a batch of rows."""


def _image(row: Mapping[str, Any]) -> NDArray[np.uint8]:
    image = row["image"]
    return image if isinstance(image, np.ndarray) else decode_image(image["bytes"], row["id"])


def _boxes(row: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the boxes with an area and their labels; crowds are left out."""
    return _boxes_of(_solid_objects(row))


def _solid_objects(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that are no crowd and whose boxes have an area."""
    return [item for item in _objects_and_crowds(row) if not item["crowd"]]


def _objects_and_crowds(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects and crowds whose boxes have an area."""
    return [
        item
        for item in row["objects"]
        if item["bbox"][0] < item["bbox"][2] and item["bbox"][1] < item["bbox"][3]
    ]


def _crowd_of(objects: Sequence[Mapping[str, Any]]) -> NDArray[np.bool_]:
    return np.array([item["crowd"] for item in objects], np.bool_)


def _boxes_of(
    objects: Sequence[Mapping[str, Any]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    boxes = np.array([item["bbox"] for item in objects], np.float32).reshape(-1, 4)
    return boxes, np.array([item["category"] for item in objects], np.int64)


def _decode_rle(rle: bytes, height: int, width: int) -> NDArray[np.uint8]:
    mask: NDArray[np.uint8] = coco_mask.decode({"size": [height, width], "counts": rle})
    return mask


def _lacks_masks(objects: Any) -> str | None:
    without = pc.struct_field(objects, "rle").null_count
    return f"masks ({without} of {len(objects)} objects have none)" if without else None


def _count_boxes(objects: pa.ListArray) -> NDArray[np.int64]:
    """Count what ``_boxes`` would return for each row of a column, without a Python object each."""
    items = objects.flatten()
    boxes = items.field("bbox").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    crowd = items.field("crowd").to_numpy(zero_copy_only=False).astype(bool)
    counted = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & ~crowd
    before = np.concatenate([[0], np.cumsum(counted)])
    ends = np.cumsum(objects.value_lengths().to_numpy(zero_copy_only=False))
    return np.diff(before[ends], prepend=0)


class ClassLabel:
    """One class an image."""

    columns: ClassVar[list[str]] = ["id", "image", "label"]
    keeps_boxes: ClassVar[bool] = False

    def lacks(self, split: SplitFile) -> str | None:
        return None if "label" in split.table.column_names else "one class label an image"

    def classes(self, split: SplitFile) -> list[str]:
        return split.info.classes

    def sample(self, row: Mapping[str, Any]) -> Sample:
        return Sample(_image(row), label=row["label"])

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        return {"label": torch.tensor(sample.label)}

    def row_targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        return {"label": torch.tensor([row["label"] for row in rows])}


class ClassesPresent:
    """All classes present in an image: the authors' own list, else those of its objects.

    A class from the list belongs to the whole image, so its box is the image; that of an object
    goes with the object when an augmentation crops it away.
    """

    columns: ClassVar[list[str]] = ["id", "image", "height", "width", "labels", "objects"]
    keeps_boxes: ClassVar[bool] = False

    def __init__(self) -> None:
        self._count: int | None = None

    def lacks(self, split: SplitFile) -> str | None:
        names = split.table.column_names
        if "labels" in names:
            without = split.table.column("labels").null_count
            return f"classes ({without} of {len(split)} images have none)" if without else None
        return None if "objects" in names else "a list of classes an image, or objects"

    def classes(self, split: SplitFile) -> list[str]:
        self._count = len(split.info.classes)
        return split.info.classes

    def sample(self, row: Mapping[str, Any]) -> Sample:
        image = _image(row)
        if "labels" not in row:
            boxes, labels = _boxes(row)
            return Sample(image, boxes=boxes, labels=labels)
        labels = np.array(row["labels"], np.int64)
        height, width = row["height"], row["width"]
        boxes = np.tile(np.array([0, 0, width, height], np.float32), (len(labels), 1))
        return Sample(image, boxes=boxes, labels=labels)

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        assert self._count is not None, "classes() says how many there are"
        present = torch.zeros(self._count)
        present[torch.from_numpy(sample.labels)] = 1
        return {"labels": present}


class SingleBox:
    """The class and box of the one object in an image."""

    columns: ClassVar[list[str]] = ["id", "image", "objects"]
    keeps_boxes: ClassVar[bool] = True

    def lacks(self, split: SplitFile) -> str | None:
        if "objects" not in split.table.column_names:
            return "boxes"
        chunks = split.table.column("objects").chunks
        others = sum(int((_count_boxes(chunk) != 1).sum()) for chunk in chunks)
        if others:
            return f"exactly one object an image ({others} of {len(split)} have none or several)"
        return None

    def classes(self, split: SplitFile) -> list[str]:
        return split.info.classes

    def sample(self, row: Mapping[str, Any]) -> Sample:
        boxes, labels = _boxes(row)
        return Sample(_image(row), boxes=boxes, labels=labels)

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        return {
            "label": torch.tensor(sample.labels[0]),
            "box": torch.from_numpy(sample.boxes[0]),
        }


class Boxes:
    """The classes and boxes of all objects in an image.

    Crowds come apart from them: metrics forgive what is found in a crowd, losses never see it.
    """

    columns: ClassVar[list[str]] = ["id", "image", "objects"]
    keeps_boxes: ClassVar[bool] = False

    def lacks(self, split: SplitFile) -> str | None:
        return None if "objects" in split.table.column_names else "boxes"

    def classes(self, split: SplitFile) -> list[str]:
        return split.info.classes

    def sample(self, row: Mapping[str, Any]) -> Sample:
        objects = _objects_and_crowds(row)
        boxes, labels = _boxes_of(objects)
        return Sample(_image(row), boxes=boxes, labels=labels, crowd=_crowd_of(objects))

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        return _apart(sample, {"labels": sample.labels, "boxes": sample.boxes})


class Instances(Boxes):
    """The classes, boxes and masks of all objects in an image."""

    columns: ClassVar[list[str]] = ["id", "image", "height", "width", "objects"]

    def lacks(self, split: SplitFile) -> str | None:
        if "objects" not in split.table.column_names:
            return "objects with masks"
        objects = pc.list_flatten(split.table.column("objects"))
        return _lacks_masks(objects.filter(pc.invert(pc.struct_field(objects, "crowd"))))

    def sample(self, row: Mapping[str, Any]) -> Sample:
        image = _image(row)
        objects = [item for item in _objects_and_crowds(row) if item["rle"] is not None]
        boxes, labels = _boxes_of(objects)
        height, width = row["height"], row["width"]
        masks = [_decode_rle(item["rle"], height, width) for item in objects]
        instances = np.array(masks, np.uint8).reshape(-1, height, width)
        return Sample(
            image, boxes=boxes, labels=labels, crowd=_crowd_of(objects), instances=instances
        )

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        assert sample.instances is not None
        return {**super().targets(sample), **_apart(sample, {"masks": sample.instances})}


def _apart(sample: Sample, targets: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Return the targets of the objects under their names, and those of crowds as ``crowd_…``."""
    crowd = np.zeros(len(sample.boxes), np.bool_) if sample.crowd is None else sample.crowd
    return {
        f"{prefix}{name}": torch.from_numpy(values[chosen])
        for prefix, chosen in (("", ~crowd), ("crowd_", crowd))
        for name, values in targets.items()
    }


class SemanticMask:
    """The class of each pixel.

    The data set's own masks are taken as they are, with its classes; where it has instance masks
    only, these are painted over each other on a background, which becomes class 0.
    """

    columns: ClassVar[list[str]] = ["id", "image", "height", "width", "mask", "objects"]
    keeps_boxes: ClassVar[bool] = False

    def lacks(self, split: SplitFile) -> str | None:
        if "mask" in split.table.column_names:
            without = split.table.column("mask").null_count
            return f"masks ({without} of {len(split)} images have none)" if without else None
        if "objects" not in split.table.column_names:
            return "masks"
        objects = pc.list_flatten(split.table.column("objects"))
        return _lacks_masks(objects)

    def classes(self, split: SplitFile) -> list[str]:
        if "mask" in split.table.column_names:
            return split.info.classes
        return [BACKGROUND, *split.info.classes]

    def sample(self, row: Mapping[str, Any]) -> Sample:
        image = _image(row)
        if "mask" in row:
            return Sample(image, mask=decode_mask(row["mask"]["bytes"], row["mask"]["path"]))
        height, width = row["height"], row["width"]
        mask = np.zeros((height, width), np.uint8)
        for item in row["objects"]:
            mask[_decode_rle(item["rle"], height, width).astype(bool)] = item["category"] + 1
        return Sample(image, mask=mask)

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        assert sample.mask is not None
        return {"mask": torch.from_numpy(sample.mask).long()}
