"""Reading a table of predictions."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.predictions.columns import VERSION, read_info

_ROWS_AT_ONCE = 64
_ROWS_OF_PART = 512


class PredictionsFile:
    """The predictions for a split; lists and masks are read in parts, the rest lies in memory.

    Args:
        path: The Parquet file that ``evaluate`` wrote.

    Attributes:
        info: What the file says of itself.
        names: Names of all columns.
        table: The columns of one value a row.

    Raises:
        ViewfinderError: If it is missing, damaged, or no table of predictions of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        again = self._again
        try:
            # Else all that ``iter_batches`` goes through stays in memory.
            self._file = pq.ParquetFile(path, pre_buffer=False)
            self.info = read_info(self._file.schema_arrow)
        except FileNotFoundError:
            raise ViewfinderError(f"There are no predictions {path}. {again}") from None
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
            message = f"{path} holds no predictions of this program: {error}. {again}"
            raise ViewfinderError(message) from error
        if self.info.version != VERSION:
            raise ViewfinderError(
                f"{path} has version {self.info.version} of the columns; expected {VERSION}. "
                f"{again}"
            )
        columns = self._file.schema_arrow
        self.names = frozenset(columns.names)
        single = pa.schema(
            column
            for column in columns
            if not _holds_lists(column.type) and not pa.types.is_binary(column.type)
        )
        # Reading all at once would take a multiple of what is read.
        self.table = pa.Table.from_batches(self._batches(_ROWS_OF_PART, single.names), single)
        self._lists: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def id(self, row: int) -> str:
        """Return the name of the image of a row."""
        return str(self.table.column("id")[row].as_py())

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of one value or one list of fixed length a row, [N] or [N, K].

        Lists are read once and kept: take ``parts`` where each row is looked at alone.
        """
        if name in self.table.column_names:
            return _as_array(self.table.column(name).combine_chunks())
        if name not in self._lists:
            self._lists[name] = self._joined(name)
        return self._lists[name]

    def parts(self, *names: str) -> Iterator[tuple[slice, list[NDArray[Any]]]]:
        """Yield the same columns some hundred rows at a time, and which rows these are."""
        start = 0
        for batch in self._batches(_ROWS_OF_PART, names):
            rows = slice(start, start + len(batch))
            yield rows, [_as_array(batch.column(name)) for name in names]
            start += len(batch)

    def _joined(self, name: str) -> NDArray[Any]:
        """Read a column of lists, never more than one part of it besides what is returned."""
        whole: NDArray[Any] | None = None
        for rows, (values,) in self.parts(name):
            if whole is None:
                whole = np.empty((len(self), values.shape[1]), values.dtype)
            whole[rows] = values
        return np.zeros((0, len(self.info.classes))) if whole is None else whole

    def groups(self) -> NDArray[np.int64]:
        """Return the number of the group that each image is in, int64 [N]."""
        names = self.table.column("group").combine_chunks().dictionary_encode()
        known = names.is_valid().to_numpy(zero_copy_only=False)
        numbers = len(names.dictionary) + np.arange(len(names))  # an image without one is alone
        numbers[known] = names.indices.drop_null().to_numpy()
        _, first, groups = np.unique(numbers, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[groups])

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield all rows, with all columns or some, a few of them in memory at a time."""
        for batch in self._batches(_ROWS_AT_ONCE, columns):
            yield from batch.to_pylist()

    def chosen(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return some rows with all columns, in the order asked for; read only where they lie."""
        rows: dict[int, dict[str, Any]] = {}
        start = 0
        for number in range(self._file.num_row_groups):
            end = start + self._file.metadata.row_group(number).num_rows
            rows |= self._of_group(number, start, {i for i in indices if start <= i < end})
            start = end
        return [rows[index] for index in indices]

    def _of_group(
        self, number: int, start: int, wanted: Collection[int]
    ) -> dict[int, dict[str, Any]]:
        """Return some rows of a row group whose first row is ``start``, by number."""
        rows: dict[int, dict[str, Any]] = {}
        if not wanted:
            return rows
        for batch in self._batches(_ROWS_AT_ONCE, group=number):
            here = [index for index in wanted if start <= index < start + len(batch)]
            found = batch.take(pa.array([index - start for index in here], pa.int64()))
            rows |= dict(zip(here, found.to_pylist(), strict=True))
            start += len(batch)
        return rows

    def _batches(
        self, size: int, columns: Sequence[str] | None = None, *, group: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows of the file or of one row group, with all columns or some."""
        groups = range(self._file.num_row_groups) if group is None else [group]
        names = None if columns is None else list(columns)
        try:
            yield from self._file.iter_batches(size, row_groups=groups, columns=names)
        except (OSError, pa.ArrowInvalid) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ViewfinderError(f"{self.path} is damaged: {reason}. {self._again}") from error

    @property
    def _again(self) -> str:
        return f"Run `dvc repro evaluate@{self.path.parent.name}`."


def _as_array(column: pa.Array) -> NDArray[Any]:
    """Return values or lists of one length as an array, [N] or [N, K]."""
    if not _holds_lists(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(len(column), -1)


def _holds_lists(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
