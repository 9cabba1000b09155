"""One pass of a trained task over the images of a split, into a table."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.describe import describe
from viewfinder.evaluation.predictions.columns import PredictionsInfo, predictions_schema
from viewfinder.evaluation.predictions.rows import predictions_of, rows_of
from viewfinder.progress import progress
from viewfinder.tasks import Predictions, VisionTask
from viewfinder.tasks.judging import judge

_ROWS_OF_A_GROUP = 512
_BYTES_OF_A_GROUP = 8 * 2**20


def write_predictions(
    task: VisionTask,
    loader: DataLoader[Batch],
    path: Path,
    info: PredictionsInfo,
    groups: Sequence[str | None],
) -> None:
    """Predict for every image once and keep what was predicted, some hundred images at a time.

    Args:
        task: The trained task, on the device that it shall predict on.
        loader: Batches in a fixed order, without augmentation.
        path: The Parquet file to write.
        info: What the file says of itself.
        groups: What each image belongs to, in the loader's order.

    Raises:
        ViewfinderError: If predictions are not finite.
    """
    with (
        pq.ParquetWriter(path, predictions_schema(info), compression="zstd") as writer,
        progress(loader, "evaluate", len(loader)) as batches,
    ):
        for rows in _gathered(_tables(task, batches, info, groups)):
            writer.write_table(rows)


def _tables(
    task: VisionTask,
    batches: Iterable[Batch],
    info: PredictionsInfo,
    groups: Sequence[str | None],
) -> Iterator[pa.Table]:
    """Yield the rows of each batch."""
    schema = predictions_schema(info)
    done = 0
    for batch in batches:
        rows = _judged(task, batch, info)
        for row, group in zip(rows, groups[done : done + len(rows)], strict=True):
            row["group"] = group
        yield pa.Table.from_pylist(rows, schema=schema)
        done += len(rows)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join tables until they are worth a row group, which costs a kilobyte and a seek."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        size += table.nbytes
        if rows >= _ROWS_OF_A_GROUP or size >= _BYTES_OF_A_GROUP:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def _judged(task: VisionTask, batch: Batch, info: PredictionsInfo) -> list[dict[str, Any]]:
    predictions, losses = judge(task, batch)
    _check_finite(predictions, batch["id"])
    rows = rows_of(info.task, predictions, batch)
    found = predictions_of(info.task, rows, info.told_from)
    examples = describe(info.task, found, batch, info.classes, info.thresholds)
    for row, loss, example in zip(rows, losses.tolist(), examples, strict=True):
        row |= {"loss": loss, "score": example.quality}
    return rows


def _check_finite(predictions: Predictions, ids: Sequence[str]) -> None:
    for name, values in predictions.items():
        broken = ~_finite_images(values)
        if broken.any():
            image = ids[int(broken.nonzero()[0])]
            raise ViewfinderError(
                f"The network's {name} for the image {image!r} hold values that are not finite "
                "numbers, so the training has diverged. Train again with a smaller learning rate."
            )


def _finite_images(values: Tensor) -> Tensor:
    """Return for each image, bool [B], whether all its values are finite."""
    return values.isfinite().flatten(start_dim=1).all(dim=1)
