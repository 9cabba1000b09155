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
_WHOLE_IMAGE = frozenset(
    {
        "mask",
        "predicted_mask",
        "confidence",
        "given_confidence",
        "masks",
        "predicted_masks",
    }
)


class PredictionsFile:
    """The predictions for a split; masks are read in parts, everything else lies in memory.

    Args:
        path: The Parquet file that ``evaluate`` wrote.

    Attributes:
        info: What the file says of itself.
        table: All columns but masks.

    Raises:
        ViewfinderError: If it is missing, damaged, or no table of predictions of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        again = f"Run `dvc repro evaluate@{path.parent.name}`."
        try:
            self._file = pq.ParquetFile(path)
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
        names = [name for name in self._file.schema_arrow.names if name not in _WHOLE_IMAGE]
        self.table = self._file.read(columns=names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of one value or one list of fixed length a row, [N] or [N, K]."""
        column = self.table.column(name).combine_chunks()
        if not pa.types.is_list(column.type) and not pa.types.is_fixed_size_list(column.type):
            return np.asarray(column.to_numpy(zero_copy_only=False))
        values = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(values).reshape(len(column), -1)

    def groups(self) -> NDArray[np.int64]:
        """Return the number of the group that each image is in, int64 [N]."""
        names = self.table.column("group").to_pylist()
        alone = [name if name is not None else (number,) for number, name in enumerate(names)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(alone))}
        return np.array([numbers[name] for name in alone], np.int64)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield all rows, with all columns or some, a few of them in memory at a time."""
        for batch in self._file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
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
        for batch in self._file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[number]):
            here = [index for index in wanted if start <= index < start + len(batch)]
            found = batch.take(pa.array([index - start for index in here], pa.int64()))
            rows |= dict(zip(here, found.to_pylist(), strict=True))
            start += len(batch)
        return rows
