"""Rows of the splits that were just written, by the id of an image."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.shards import read_shards
from viewfinder.data.splits.assign import Assignment


class SplitRows:
    """Random access to the images of a data set's splits, memory-mapped.

    Args:
        folder: The folder that holds the splits.
        assignment: The records that were written, in order.
    """

    def __init__(self, folder: Path, assignment: Assignment) -> None:
        self._assignment = assignment
        self._tables = {split: read_shards(folder / split) for split in SPLITS}
        self._places = {
            record.id: (split, row)
            for split in SPLITS
            for row, record in enumerate(assignment[split])
        }

    def __enter__(self) -> "SplitRows":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tables.clear()

    def split_of(self, name: str) -> Split | None:
        """Return the split of an image; None if it is in none."""
        return self._places[name][0] if name in self._places else None

    def classes(self, split: Split) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the id of each image of a split and the classes its annotations name, sorted."""
        for record in self._assignment[split]:
            yield record.id, tuple(sorted(record.classes()))

    def row(self, name: str) -> dict[str, Any]:
        """Return all columns of an image."""
        split, row = self._places[name]
        table = self._tables[split]
        return {column: table.column(column)[row].as_py() for column in table.column_names}

    def masks(self, split: Split) -> Iterator[bytes | None]:
        """Yield the encoded semantic mask of each image, nothing if there is no such column."""
        table = self._tables[split]
        if "mask" in table.column_names:
            for mask in table.column("mask"):
                yield (mask.as_py() or {}).get("bytes")
