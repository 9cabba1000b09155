"""Hugging Face parquet: the columns of images and of their classes."""

from collections import defaultdict
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.parquet_shards import ParquetShards
from viewfinder.data.recognition.names import READERS, Format, split_in_path, unsettled
from viewfinder.data.recognition.tables import find_lists
from viewfinder.data.schema import SPLITS, Split


def recognise_parquet(archive: Archive, names: list[str]) -> Format | None:
    """Return how parquet files are read, if there are such.

    Raises:
        ViewfinderError: If they hold no images, or do not name the classes of a column.
    """
    files: defaultdict[Split, list[str]] = defaultdict(list)
    for name in names:
        if name.lower().endswith(".parquet"):
            files[split_in_path(name) or "train"].append(name)
    if not files:
        return None
    shards = ParquetShards(archive)
    first = next(iter(files.values()))[0]
    image, label = shards.image_column(first), shards.label_column(first)
    if image is None and find_lists(archive, names):
        return None
    if image is None or label is None:
        lack = "images" if image is None else "numbers of classes whose names the metadata give"
        raise unsettled(archive, "parquet files", f"no column of {first!r} holds {lack}")
    ordered = {split: files[split] for split in SPLITS if split in files}
    options: dict[str, Any] = {"files": ordered, "annotation": "label"}
    options |= {"column": label} if label != "label" else {}
    options |= {"image": image} if image != "image" else {}
    return Format("Hugging Face parquet", f"{READERS}hugging_face.read_parquet", options)
