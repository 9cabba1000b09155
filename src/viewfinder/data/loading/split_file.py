"""Random access to the rows of a split."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from viewfinder.data.schema import SCHEMA_VERSION, SplitInfo, how_to_split
from viewfinder.data.shards import read_shards, shard_paths
from viewfinder.errors import ViewfinderError

_READ_BYTES = 2**20

Rows = Sequence[int] | NDArray[np.int64]


class SplitFile:
    """A split, memory-mapped: opening it reads no image, and processes share its pages.

    Args:
        path: The folder of Arrow streams that the split stage wrote.

    Raises:
        ViewfinderError: If it is missing, incomplete, or no split of this schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        again = how_to_split(path.parent.name)
        try:
            self.table: pa.Table = read_shards(path)
            self.info = SplitInfo.from_schema(self.table.schema)
        except FileNotFoundError as error:
            missing = error.args[0] if path.is_dir() else path
            raise ViewfinderError(f"The split {missing} does not exist. {again}") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ViewfinderError(f"{path} is not a split: {error}. {again}") from error
        if self.info.version != SCHEMA_VERSION:
            raise ViewfinderError(
                f"{path} has schema version {self.info.version}; expected {SCHEMA_VERSION}. {again}"
            )
        if self.info.rows not in (None, len(self)):
            raise ViewfinderError(
                f"{path} has {len(self)} rows; expected {self.info.rows}. A shard is missing or "
                f"cut off. {again}"
            )
        self._chunks = {name: self.table.column(name).chunks for name in self.table.column_names}
        images = [chunk.field("bytes") for chunk in self._chunks["image"]]
        self._contents = [_Contents(chunk) for chunk in images]
        lengths = [len(chunk) for chunk in images]
        self._starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __reduce__(self) -> tuple[type["SplitFile"], tuple[Path]]:
        # Another process maps the files again; a pickled table would be a copy of them.
        return SplitFile, (self.path,)

    def row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        """Return those of the named columns that there are, of one row, as Python values."""
        return self.rows([index], columns)[0]

    def rows(self, indices: Rows, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return those of the named columns that there are, of several rows, as Python values."""
        present = [(name, self._chunks[name]) for name in columns if name in self._chunks]
        return [
            {name: chunks[chunk][place].as_py() for name, chunks in present}
            for chunk, place in self._places(indices)
        ]

    def images(self, indices: Rows) -> list[pa.Buffer]:
        """Return the encoded images of several rows: views of the files, not copies."""
        return [self._contents[chunk][place] for chunk, place in self._places(indices)]

    def digest(self) -> str:
        """Return the SHA-256 of the content of all shards, one after the other."""
        digest = hashlib.sha256()
        for path in shard_paths(self.path):
            with path.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
        return digest.hexdigest()

    def _places(self, indices: Rows) -> list[tuple[int, int]]:
        """Return for each row its record batch and its place there."""
        wanted = np.asarray(indices, np.int64)
        wanted = np.where(wanted < 0, wanted + len(self), wanted)
        chunks = np.searchsorted(self._starts, wanted, side="right") - 1
        return list(zip(chunks.tolist(), (wanted - self._starts[chunks]).tolist(), strict=True))


class _Contents:
    """The binary values of a record batch as views; Arrow's scalars take twenty times as long."""

    def __init__(self, values: pa.BinaryArray) -> None:
        _, offsets, self._bytes = values.buffers()
        self._offsets = np.frombuffer(offsets, np.int32)[values.offset :]

    def __getitem__(self, place: int) -> pa.Buffer:
        start, end = self._offsets[place : place + 2].tolist()
        return self._bytes.slice(start, end - start)
