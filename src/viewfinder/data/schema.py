"""The contract between the data and everything behind it: what a split holds.

A split is a folder of Arrow IPC streams of encoded images and their annotations. The schema's
metadata carries the class names and where the data came from.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

SCHEMA_VERSION = 1
METADATA_KEY = b"viewfinder"
IGNORE = 255  # in a semantic mask: a pixel that does not count

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

ENCODED_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
OBJECT = pa.struct(
    [
        ("bbox", pa.list_(pa.float32(), 4)),
        ("category", pa.int64()),
        ("rle", pa.binary()),
        ("crowd", pa.bool_()),
    ]
)
REQUIRED_COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "image": ENCODED_IMAGE,
    "width": pa.int32(),
    "height": pa.int32(),
    "group": pa.string(),
}
ANNOTATION_COLUMNS: dict[str, pa.DataType] = {
    "label": pa.int64(),
    "labels": pa.list_(pa.int64()),
    "objects": pa.list_(OBJECT),
    "mask": ENCODED_IMAGE,
}


@dataclass(frozen=True)
class SplitInfo:
    """What a split file says of itself.

    Attributes:
        dataset: Name of the data set.
        split: Name of the split.
        classes: Class names; a class index counts into them.
        sources: SHA-256 of each archive that the rows came from, by file name.
        version: Version of the schema.
        rows: Number of rows of the split, all shards together.
    """

    dataset: str
    split: Split
    classes: list[str]
    sources: dict[str, str]
    version: int = SCHEMA_VERSION
    rows: int | None = field(default=None, compare=False)

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the metadata for an Arrow schema."""
        return {METADATA_KEY: json.dumps(asdict(self)).encode()}

    @classmethod
    def from_schema(cls, schema: pa.Schema) -> "SplitInfo":
        """Read the metadata of an Arrow schema.

        Raises:
            KeyError: If the schema carries no such metadata.
        """
        return cls(**json.loads((schema.metadata or {})[METADATA_KEY]))


def split_schema(annotations: list[str], info: SplitInfo) -> pa.Schema:
    """Return the schema of a split with the given annotation columns."""
    columns = REQUIRED_COLUMNS | {name: ANNOTATION_COLUMNS[name] for name in annotations}
    return pa.schema(list(columns.items()), metadata=info.to_metadata())


def split_path(dataset: str, split: Split) -> Path:
    """Return where the folder of a split lies, relative to the project."""
    return Path("data", "splits", dataset, split)


def report_path(dataset: str, suffix: Literal["html", "json"] = "html") -> Path:
    """Return where the report on a data set lies, relative to the project."""
    return Path("data", "splits", dataset, f"report.{suffix}")


def how_to_split(dataset: str) -> str:
    """Return what a user does to get a data set's splits, or to get them anew."""
    return (
        f"Run `dvc repro split@{dataset}`; or, if params.yaml does not list the data set, "
        f"`viewfinder download {dataset}` and then `viewfinder split {dataset}`."
    )


def raw_path(dataset: str) -> Path:
    """Return where the archives of a data set lie, relative to the project."""
    return Path("data", "raw", dataset)
