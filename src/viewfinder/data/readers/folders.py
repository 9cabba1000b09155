"""One folder a class."""

import re
from pathlib import PurePosixPath

from viewfinder.data.archive import Archive
from viewfinder.data.readers.record import Reading, Record
from viewfinder.errors import ViewfinderError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_ORDER_PREFIX = re.compile(r"^\d+_(?=\D)")


def read_class_folders(archive: Archive) -> Reading:
    """Read images that lie in folders named after their class.

    The classes stand in the order of the folders' names; a leading number that only orders them,
    as in ``3_three``, is left out of the class name.

    Raises:
        ViewfinderError: If fewer than two folders hold images.
    """
    images = [
        path
        for path in map(PurePosixPath, archive.names())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    folders = sorted({path.parent for path in images})
    if len(folders) < 2:
        raise ViewfinderError(
            f"{archive.path} has {len(folders)} folders with images; "
            "expected one folder for each of two or more classes."
        )
    label_of = {folder: label for label, folder in enumerate(folders)}
    classes = [_ORDER_PREFIX.sub("", folder.name) for folder in folders]
    records = [Record(id=str(path), label=label_of[path.parent]) for path in images]
    return Reading(classes, ["label"], records)
