"""What a data set holds, in numbers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.assign import Assignment


def summarise(assignment: Assignment, classes: Sequence[str]) -> dict[str, Any]:
    """Count images and annotations of each split.

    Returns:
        A document for JSON: the classes, and for each split the number of images, of objects, and
        of labels or objects of each class.
    """
    return {
        "classes": list(classes),
        "splits": {split: _count(records, classes) for split, records in assignment.items()},
    }


def _count(records: Sequence[Record], classes: Sequence[str]) -> dict[str, Any]:
    objects = [item for record in records for item in record.objects or ()]
    labels = [record.label for record in records if record.label is not None]
    counts = Counter(labels) + Counter(item.category for item in objects)
    empty = [
        record.id
        for record in records
        for item in record.objects or ()
        if item.bbox[2] <= item.bbox[0] or item.bbox[3] <= item.bbox[1]
    ]
    return {
        "images": len(records),
        "objects": len(objects),
        "by_class": {name: counts[index] for index, name in enumerate(classes)},
        "images_with_empty_boxes": empty,
    }
