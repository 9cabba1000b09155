"""Readers that only tests need."""

from dataclasses import replace

from viewfinder.data.archive import Archive
from viewfinder.data.readers.folders import read_class_folders
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.schema import SPLITS


def read_parts(archive: Archive) -> Reading:
    """Read ``<split>/<class>/<image>``."""
    names = archive.names()
    classes = sorted({name.split("/")[1] for name in names})
    split_of = {split: split for split in SPLITS}
    records = [
        Record(
            id=name,
            label=classes.index(name.split("/")[1]),
            split=split_of[name.split("/")[0]],  # type: ignore[index]
        )
        for name in names
    ]
    return Reading(classes, ["label"], records)


def read_sizes(archive: Archive, *, odd: str) -> Reading:
    """Read class folders with a wrong size for one image."""
    reading = read_class_folders(archive)
    records = [
        replace(record, size=(640, 480) if record.id == odd else (48, 48))
        for record in reading.records
    ]
    return Reading(reading.classes, reading.annotations, records)


def read_boxes(archive: Archive) -> Reading:
    """Read images with a box each; the first has no area, the second leaves the frame."""
    odd = {0: (5.0, 5.0, 5.0, 20.0), 1: (-8.0, 4.0, 30.0, 60.0)}
    records = [
        Record(
            id=name,
            objects=(
                Object(odd.get(number, (4.0, 8.0, 28.0, 44.0)), number % 2),
                *([Object((0.0, 0.0, 12.0, 12.0), 1)] if number % 4 == 0 else []),
            ),
        )
        for number, name in enumerate(archive.names())
    ]
    return Reading(["cat", "dog"], ["objects"], records)
