"""How many images and annotations of each class there are."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from viewfinder.data.readers.record import Record


def count_split(
    records: Sequence[Record], present: Sequence[frozenset[int]], classes: Sequence[str]
) -> dict[str, Any]:
    """Count the images and annotations of one split.

    Args:
        records: The images of the split.
        present: The classes that are present in each of them.
        classes: Class names.

    Returns:
        Numbers of images and objects; of labels or objects of each class; of images that hold
        each class, and of those that hold none.
    """
    objects = [item for record in records for item in record.objects or ()]
    named = Counter(item.category for item in objects)
    for record in records:
        named.update(record.labels or ())
        named.update([] if record.label is None else [record.label])
    images = Counter(label for labels in present for label in labels)
    return {
        "images": len(records),
        "objects": len(objects),
        "by_class": {name: named[index] for index, name in enumerate(classes)},
        "images_by_class": {name: images[index] for index, name in enumerate(classes)},
        "images_without_class": sum(not labels for labels in present),
    }


def co_occurrence(present: Sequence[frozenset[int]], classes: Sequence[str]) -> list[list[int]]:
    """Count the images that hold both of two classes; on the diagonal those that hold one.

    Returns:
        Numbers [C, C]; an empty list if no image holds two classes.
    """
    if all(len(labels) < 2 for labels in present):
        return []
    table = [[0] * len(classes) for _ in classes]
    for labels, images in Counter(present).items():
        for label in labels:
            table[label][label] += images
        for one, other in combinations(labels, 2):
            table[one][other] += images
            table[other][one] += images
    return table
