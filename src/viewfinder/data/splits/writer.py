"""Splits on disk: encoded images and their annotations."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.image_size import image_size
from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SplitInfo, split_schema
from viewfinder.data.shards import SHARD_BYTES, ShardWriter
from viewfinder.data.splits.mask import encode_mask
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress


def write_split(
    path: Path,
    records: Sequence[Record],
    archive: Archive,
    annotations: list[str],
    info: SplitInfo,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write one split.

    Args:
        path: The folder to write.
        records: What goes into it, in order.
        archive: Where the images come from.
        annotations: The annotation columns that the records fill.
        info: Class names and origin.
        shard_bytes: Size of a shard, after which another one is begun.

    Raises:
        ViewfinderError: If an image or mask can't be read, or is not as large as its annotations
            say, or a mask holds a class that there is not.
    """
    schema = split_schema(annotations, replace(info, rows=len(records)))
    with (
        ShardWriter(path, schema, shard_bytes) as shards,
        progress(records, f"{info.dataset}/{info.split}") as each,
    ):
        for record in each:
            row = _row(record, archive, annotations, info.classes)
            shards.write(row, _size(row))


def _row(
    record: Record, archive: Archive, annotations: list[str], classes: Sequence[str]
) -> dict[str, Any]:
    content = record.read(archive)
    width, height = _checked_size(record, content, archive)
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


def _size(row: dict[str, Any]) -> int:
    """Return about how many bytes a row takes."""
    encoded = len(row["image"]["bytes"]) + len((row.get("mask") or {"bytes": b""})["bytes"])
    return encoded + sum(64 + len(item["rle"] or b"") for item in row.get("objects", ()))


def _checked_size(record: Record, content: bytes, archive: Archive) -> tuple[int, int]:
    """Return width and height; a fingerprint tells that all pixels were decoded before."""
    if record.fingerprint is not None and record.size is not None:
        return record.size
    name = f"{archive.path}: {record.id!r}"
    width, height = image_size(content, name, whole=True)
    if record.size is not None and record.size != (width, height):
        raise ViewfinderError(
            f"{name} is {width} x {height} pixels, but its annotations are for "
            f"{record.size[0]} x {record.size[1]}. Correct one of the two."
        )
    return width, height
