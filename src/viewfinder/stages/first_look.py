"""A look at the head of every image of a new data set, and at what lies beside them."""

import posixpath
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from statistics import median

from viewfinder.data.archive import Archive
from viewfinder.data.image_size import image_size
from viewfinder.data.readers.record import LeftOut, Reading
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_UNKNOWN_SHAPE = (224, 224)
_ANNOTATIONS = (".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".md")


@dataclass(frozen=True)
class FirstLook:
    """What was seen.

    Attributes:
        shape: Median height and width of the images, pixels.
        unreadable: The images that can't be read, and why.
        not_taken: Suffixes of other files in the images' folders that hold no annotations.
    """

    shape: tuple[int, int]
    unreadable: list[LeftOut] = field(repr=False)
    not_taken: Counter[str] = field(repr=False)


def look_at_images(reading: Reading, archive: Archive) -> FirstLook:
    """Read the head of each image; whether it is whole is for the split stage to find out."""
    sizes, unreadable = [], []
    with progress(reading.records, "looking at the images", len(reading.records)) as records:
        for record in records:
            try:
                sizes.append(image_size(record.read(archive), "it"))
            except ViewfinderError as error:
                unreadable.append(LeftOut(record.id, str(error).removesuffix(".")))
    widths, heights = zip(*sizes or [_UNKNOWN_SHAPE], strict=True)
    shape = round(median(heights)), round(median(widths))
    return FirstLook(shape, unreadable, _not_taken(reading, archive))


def _not_taken(reading: Reading, archive: Archive) -> Counter[str]:
    known = {record.id for record in reading.records} | {item.id for item in reading.left_out}
    folders = {posixpath.dirname(name) for name in known}
    known |= {record.mask.path for record in reading.records if record.mask is not None}
    suffixes = (
        PurePosixPath(name).suffix.lower() or "without suffix"
        for name in archive.names()
        if posixpath.dirname(name) in folders and name not in known
    )
    return Counter(suffix for suffix in suffixes if suffix not in _ANNOTATIONS)
