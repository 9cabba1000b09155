"""Which classes the images of a split hold, and how many images each class has."""

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.errors import ViewfinderError


def image_classes(split: SplitFile) -> list[list[int]]:
    """Return the classes of each image: its label, its list of labels, or those of its objects.

    Raises:
        ViewfinderError: If the split has none of these columns.
    """
    columns = split.table.column_names
    if "label" in columns:
        return [[label] for label in split.table.column("label").to_pylist()]
    if "labels" in columns:
        return [sorted(set(labels)) for labels in split.table.column("labels").to_pylist()]
    if "objects" in columns:
        return [
            sorted({item["category"] for item in objects if not item["crowd"]})
            for objects in split.table.column("objects").to_pylist()
        ]
    raise ViewfinderError(
        f"{split.path} names no classes of whole images or objects; it has the columns "
        f"{', '.join(columns)}. Balancing by class needs label, labels or objects."
    )


def class_counts(split: SplitFile) -> NDArray[np.int64]:
    """Return the number of images of each class, int64 [C]."""
    present = np.array([label for classes in image_classes(split) for label in classes], np.int64)
    return np.bincount(present, minlength=len(split.info.classes))
