"""What a task sees of a data set: the poorest view that suffices.

A view says which columns it can be made from, decodes one row into a sample, and turns the
transformed sample into the tensors of a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.data.loading.decode import decode_image, decode_mask
from viewfinder.data.loading.objects import (
    boxes_and_labels,
    boxes_of,
    count_boxes,
    crowd_of,
    crowds_apart,
    decode_rle,
    lacks_masks,
    objects_and_crowds,
)
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
            boxes, labels = boxes_and_labels(row)
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
        others = sum(int((count_boxes(chunk) != 1).sum()) for chunk in chunks)
        if others:
            return f"exactly one object an image ({others} of {len(split)} have none or several)"
        return None

    def classes(self, split: SplitFile) -> list[str]:
        return split.info.classes

    def sample(self, row: Mapping[str, Any]) -> Sample:
        boxes, labels = boxes_and_labels(row)
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
        objects = objects_and_crowds(row)
        boxes, labels = boxes_of(objects)
        return Sample(_image(row), boxes=boxes, labels=labels, crowd=crowd_of(objects))

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        return crowds_apart(sample, {"labels": sample.labels, "boxes": sample.boxes})


class Instances(Boxes):
    """The classes, boxes and masks of all objects in an image."""

    columns: ClassVar[list[str]] = ["id", "image", "height", "width", "objects"]

    def lacks(self, split: SplitFile) -> str | None:
        if "objects" not in split.table.column_names:
            return "objects with masks"
        objects = pc.list_flatten(split.table.column("objects"))
        return lacks_masks(objects.filter(pc.invert(pc.struct_field(objects, "crowd"))))

    def sample(self, row: Mapping[str, Any]) -> Sample:
        image = _image(row)
        objects = [item for item in objects_and_crowds(row) if item["rle"] is not None]
        boxes, labels = boxes_of(objects)
        height, width = row["height"], row["width"]
        masks = [decode_rle(item["rle"], height, width) for item in objects]
        instances = np.array(masks, np.uint8).reshape(-1, height, width)
        return Sample(
            image, boxes=boxes, labels=labels, crowd=crowd_of(objects), instances=instances
        )

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        assert sample.instances is not None
        return {**super().targets(sample), **crowds_apart(sample, {"masks": sample.instances})}


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
        return lacks_masks(objects)

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
            mask[decode_rle(item["rle"], height, width).astype(bool)] = item["category"] + 1
        return Sample(image, mask=mask)

    def targets(self, sample: Sample) -> dict[str, Tensor]:
        assert sample.mask is not None
        return {"mask": torch.from_numpy(sample.mask).long()}
