"""Split files: Arrow streams of encoded images and their annotations."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import ExifTags, Image

from viewfinder.data.archive import Archive
from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SplitInfo, split_schema
from viewfinder.data.splits.mask import encode_mask
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_ROWS_PER_BATCH = 256
_SIDEWAYS = frozenset({5, 6, 7, 8})


def write_split(
    path: Path,
    records: Sequence[Record],
    archive: Archive,
    annotations: list[str],
    info: SplitInfo,
) -> None:
    """Write one split file.

    Args:
        path: The file to write.
        records: What goes into it, in order.
        archive: Where the images come from.
        annotations: The annotation columns that the records fill.
        info: Class names and origin.

    Raises:
        ViewfinderError: If an image or mask can't be read, or is not as large as its annotations
            say, or a mask holds a class that there is not.
    """
    schema = split_schema(annotations, info)
    numbers = range(0, len(records), _ROWS_PER_BATCH)
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as stream,
        progress(numbers, f"{info.dataset}/{info.split}") as starts,
    ):
        for start in starts:
            chunk = records[start : start + _ROWS_PER_BATCH]
            rows = [_row(record, archive, annotations, info.classes) for record in chunk]
            stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _row(
    record: Record, archive: Archive, annotations: list[str], classes: Sequence[str]
) -> dict[str, Any]:
    content = record.read(archive)
    name = f"{archive.path}: {record.id!r}"
    width, height = _image_size(content, name)
    if record.size is not None and record.size != (width, height):
        raise ViewfinderError(
            f"{name} is {width} x {height} pixels, but its annotations are for "
            f"{record.size[0]} x {record.size[1]}. Correct one of the two."
        )
    row = {
        "id": record.id,
        "image": {"bytes": content, "path": record.id},
        "width": width,
        "height": height,
        "group": record.group,
    }
    if "label" in annotations:
        row["label"] = record.label
    if "labels" in annotations:
        row["labels"] = record.labels
    if "objects" in annotations:
        row["objects"] = [asdict(item) for item in record.objects or ()]
    if "mask" in annotations and record.mask is not None:
        mask = encode_mask(record.mask, archive, classes, (width, height))
        row["mask"] = {"bytes": mask, "path": record.mask.path}
    return row


def _image_size(content: bytes, name: str) -> tuple[int, int]:
    """Return width and height as a viewer shows the image, after its EXIF orientation."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError) as error:
        raise ViewfinderError(
            f"{name} is not a readable image ({len(content)} bytes): {error}. "
            "Repair the file or take it out of the archive."
        ) from error
    return (height, width) if orientation in _SIDEWAYS else (width, height)
