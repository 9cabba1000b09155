"""A split on disk: a folder of Arrow IPC streams, each of bounded size.

Each stream is whole in itself, so that pyarrow, pandas, polars, DuckDB and ``datasets`` open it.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

SHARD_BYTES = 512 * 2**20
_BATCH_ROWS = 256
_BATCH_BYTES = 32 * 2**20


class ShardWriter:
    """Writes rows to ``00000.arrow``, ``00001.arrow`` and so on, in bounded memory.

    A split without rows still gets one shard, which holds the schema.

    Args:
        folder: The folder to write into; made if there is none.
        schema: Columns of the rows, and the metadata of every shard.
        shard_bytes: Bytes after which a new shard is begun; a single batch of rows may go beyond.
    """

    def __init__(self, folder: Path, schema: pa.Schema, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = folder
        self.schema = schema
        self.shard_bytes = shard_bytes
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self._shards = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._open()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        self._close()

    def write(self, row: Mapping[str, Any], size: int) -> None:
        """Write one row.

        Args:
            row: Its values by column.
            size: About how many bytes it takes.
        """
        if self._rows and self._bytes + size > min(_BATCH_BYTES, self.shard_bytes):
            self._flush()
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) == _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        batch = pa.RecordBatch.from_pylist(self._rows, schema=self.schema)
        if self._sink.tell() > self._empty and self._sink.tell() + batch.nbytes > self.shard_bytes:
            self._close()
            self._open()
        self._stream.write_batch(batch)
        self._rows, self._bytes = [], 0

    def _open(self) -> None:
        self._sink = pa.OSFile(str(self.folder / f"{self._shards:05d}.arrow"), "wb")
        self._stream = pa.ipc.new_stream(self._sink, self.schema)
        self._empty = self._sink.tell()
        self._shards += 1

    def _close(self) -> None:
        self._stream.close()
        self._sink.close()


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a split in the order of their rows.

    Raises:
        FileNotFoundError: If the folder or one of its shards is missing.
    """
    found = sorted(folder.glob("*.arrow"))
    expected = [folder / f"{number:05d}.arrow" for number in range(max(len(found), 1))]
    missing = sorted(set(expected) - set(found))
    if missing:
        raise FileNotFoundError(missing[0])
    return found


def read_shards(folder: Path) -> pa.Table:
    """Return all rows of a split, memory-mapped: no row is read before it is used.

    Raises:
        FileNotFoundError: If the folder or one of its shards is missing.
        OSError: If a shard is no Arrow stream.
        ValueError: If a shard is no Arrow stream, or the shards are not of one split.
    """
    tables = []
    for path in shard_paths(folder):
        with pa.memory_map(str(path)) as source:
            tables.append(pa.ipc.open_stream(source).read_all())
        if not tables[0].schema.equals(tables[-1].schema, check_metadata=True):
            raise ValueError(f"{path.name} belongs to another split than 00000.arrow")
    return pa.concat_tables(tables)
