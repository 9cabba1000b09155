"""Random access to the rows of a split file."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from viewfinder.data.schema import SCHEMA_VERSION, SplitInfo
from viewfinder.errors import ViewfinderError


class SplitFile:
    """A split file, memory-mapped: opening it reads no image, and processes share its pages.

    Args:
        path: The Arrow stream that the split stage wrote.

    Raises:
        ViewfinderError: If the file is missing, or is not a split file of this schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        again = f"Run `dvc repro split@{path.parent.name}`."
        try:
            with pa.memory_map(str(path)) as source:
                self.table: pa.Table = pa.ipc.open_stream(source).read_all()
            self.info = SplitInfo.from_schema(self.table.schema)
        except FileNotFoundError:
            raise ViewfinderError(f"The split file {path} does not exist. {again}") from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ViewfinderError(f"{path} is not a split file: {error}. {again}") from error
        if self.info.version != SCHEMA_VERSION:
            raise ViewfinderError(
                f"{path} has schema version {self.info.version}; expected {SCHEMA_VERSION}. {again}"
            )
        self._columns = frozenset(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def row(self, index: int, columns: list[str]) -> dict[str, Any]:
        """Return those of the named columns that there are, of one row, as Python values."""
        present = [name for name in columns if name in self._columns]
        return {name: self.table.column(name)[index].as_py() for name in present}

    def digest(self) -> str:
        """Return the SHA-256 of the file's content."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
