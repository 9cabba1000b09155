"""The memory of a report grows with the number of images as their table does, and no faster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from viewfinder.evaluation.predictions.columns import PredictionsInfo, predictions_schema

CLASSES = 64
FEW, MANY = 5_000, 20_000
OF_AN_IMAGE = 256  # bytes: its name, its few single values, and what is found on the way
TASKS = ("classification", "multilabel")
# Each report starts from the same state: that of a process which has imported all there is.
REPORTS = """
import gc, os, sys
from pathlib import Path
from made_predictions import report
from viewfinder.evaluation.predictions.file import PredictionsFile

def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

report(PredictionsFile(Path(sys.argv[1])))
gc.collect()
for path in sys.argv[2:]:
    if not os.fork():
        report(PredictionsFile(Path(path)))
        Path(path).with_name("peak").write_text(str(peak()))
        os._exit(0)
for _ in sys.argv[2:]:
    assert os.wait()[1] == 0
"""


def lists(values: NDArray[np.generic]) -> pa.Array:
    ends = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(values.ravel()))


def probabilities(task: str, images: int) -> dict[str, pa.Array]:
    """Truth and predictions of images, right in most cases."""
    generator = np.random.default_rng(images)
    noise = generator.normal(size=(images, CLASSES)).astype(np.float32)
    if task == "multilabel":
        present = generator.random(noise.shape) < 0.1
        shares = 1 / (1 + np.exp(3 - noise - 5 * present))
        columns = {"labels": present, "probabilities": shares, "present": shares >= 0.5}
        return {name: lists(values) for name, values in columns.items()}
    label = generator.integers(0, CLASSES, images)
    powers = np.exp(2 * noise)
    powers[np.arange(images), label] *= np.float32(np.exp(7))
    shares = powers / powers.sum(axis=1, keepdims=True)
    return {"label": pa.array(label), "probabilities": lists(shares)}


def table_of(folder: Path, task: str, images: int) -> Path:
    """Write predictions in row groups of some hundred images, as ``evaluate`` does."""
    names = [f"class {label}" for label in range(CLASSES)]
    thresholds = [0.5] * CLASSES if task == "multilabel" else None
    schema = predictions_schema(PredictionsInfo(task, names, "made", "0" * 64, thresholds))
    generator = np.random.default_rng(0)
    single = {
        "id": [f"{number:06d}.png" for number in range(images)],
        "group": [None] * images,
        "height": [64] * images,
        "width": [64] * images,
        **{
            name: generator.random(images).astype(np.float32)
            for name in ("brightness", "loss", "score")
        },
    }
    folder = folder / f"{task} of {images}"
    folder.mkdir()
    path = folder / "predictions.parquet"
    table = pa.table({**single, **probabilities(task, images)}, schema=schema)
    pq.write_table(table, path, row_group_size=512)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_memory_of_a_report_grows_no_faster_than_its_table(tmp_path: Path) -> None:
    sizes = [(task, images) for task in TASKS for images in (FEW, MANY)]
    tables = [table_of(tmp_path, *size) for size in [(TASKS[0], 100), *sizes]]
    environment = {
        **os.environ,
        # Arrow's own allocator keeps some tens of megabytes back, more or less by chance.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",  # its threads do not survive a fork
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    words = [sys.executable, "-c", REPORTS, *map(str, tables)]
    subprocess.run(words, capture_output=True, check=True, env=environment)
    found = [int(path.with_name("peak").read_text()) for path in tables[1:]]
    peaks = dict(zip(sizes, found, strict=True))
    growth = {task: peaks[task, MANY] - peaks[task, FEW] for task in TASKS}
    assert max(growth.values()) < (MANY - FEW) * (4 * CLASSES + OF_AN_IMAGE), growth
