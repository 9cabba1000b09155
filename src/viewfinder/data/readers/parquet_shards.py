"""Parquet files with images in them, of which one row group is in memory at a time."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from viewfinder.data.archive import Archive
from viewfinder.errors import ViewfinderError


class ParquetShards:
    """Hugging Face's parquet files: annotations at once, encoded images one by one.

    Args:
        archive: The data set's files; open for as long as images are read.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._path: str | None = None
        self._file: pq.ParquetFile | None = None
        self._group: int | None = None
        self._values: dict[str, list[Any]] = {}  # of the row group in memory, by column

    def columns(self, path: str, image: str, wanted: list[str]) -> dict[str, list[Any]]:
        """Return columns of a file, and under ``path`` the images' own file names.

        Raises:
            ViewfinderError: If a column is missing, or the images are not bytes and path.
        """
        file = self._open(path)
        schema = file.schema_arrow
        missing = [name for name in (image, *wanted) if name not in schema.names]
        if missing:
            raise ViewfinderError(
                f"{self.archive.path}: {path!r} has no column {', '.join(map(repr, missing))}; it "
                f"has {', '.join(schema.names)}. Name the right columns in the reader's options."
            )
        self._check_images(path, image)
        table = file.read([f"{image}.path", *wanted])
        names = [(entry or {}).get("path") for entry in table.column(image).to_pylist()]
        return {"path": names} | {name: table.column(name).to_pylist() for name in wanted}

    def content(self, path: str, column: str, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            ViewfinderError: If the cell is empty.
        """
        file = self._open(path)
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < start + rows:
                break
            start += rows
        if self._group != group:
            self._values, self._group = {}, group
        if column not in self._values:
            table = file.read_row_group(group, [f"{column}.bytes"])
            self._values[column] = table.column(column).to_pylist()
        content = (self._values[column][row - start] or {}).get("bytes")
        if not content:
            raise ViewfinderError(
                f"{self.archive.path}: row {row} of {path!r} has no {column!r}; expected an "
                "encoded image. Remove the row, or repair it."
            )
        return bytes(content)

    def image_column(self, path: str) -> str | None:
        """Return the first column of images, a struct of bytes and path, if there is one."""
        schema = self._open(path).schema_arrow
        return next((field.name for field in schema if _holds_images(field.type)), None)

    def label_column(self, path: str) -> str | None:
        """Return the first column of class numbers whose names the metadata give, if any."""
        for field in self._open(path).schema_arrow:
            if pa.types.is_integer(field.type) and self.class_names(path, field.name):
                return str(field.name)
        return None

    def class_names(self, path: str, column: str) -> list[str] | None:
        """Return the class names that Hugging Face's metadata give a column, if any."""
        metadata = self._open(path).schema_arrow.metadata or {}
        try:
            features = json.loads(metadata[b"huggingface"])["info"]["features"]
        except (KeyError, ValueError, TypeError):
            return None
        return _names(features, column)

    def _check_images(self, path: str, column: str) -> None:
        kind = self._open(path).schema_arrow.field(column).type
        if not _holds_images(kind):
            raise ViewfinderError(
                f"{self.archive.path}: {path!r} has {kind} in {column!r}; expected Hugging Face's "
                "images, a struct of bytes and path. Name the right column in the reader's options."
            )

    def _open(self, path: str) -> pq.ParquetFile:
        if path != self._path or self._file is None:
            try:
                self._file = pq.ParquetFile(pa.BufferReader(self.archive.read(path)))
            except (pa.ArrowException, OSError) as error:
                raise ViewfinderError(
                    f"{self.archive.path}: {path!r} is not a parquet file: {error}. Fetch it again."
                ) from error
            self._path, self._group = path, None
        return self._file


def _holds_images(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}


def _names(features: Any, column: str) -> list[str] | None:
    """Look for a column's class names, at any depth of a description of features."""
    if not isinstance(features, dict):
        return None
    if column in features:
        found = _first_names(features[column])
        if found:
            return found
    return next((found for value in features.values() if (found := _names(value, column))), None)


def _first_names(feature: Any) -> list[str] | None:
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    if not isinstance(feature, dict):
        return None
    names = feature.get("names")
    if isinstance(names, list):
        return [str(name) for name in names]
    return _first_names(feature.get("feature"))
