"""A run that MLflow keeps."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from viewfinder import workspace
from viewfinder.tracking.entries import (
    DIGEST_LIMIT,
    METRICS_PER_BATCH,
    PARAM_LIMIT,
    PARAMS_PER_BATCH,
    batches,
    entry_name,
    flatten,
)
from viewfinder.tracking.names import MODE_TAG, MONITOR_TAG, OBJECTIVE
from viewfinder.tracking.refusal import store_errors
from viewfinder.tracking.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image
    from pytorch_lightning.loggers import MLFlowLogger


class MlflowRun:
    """One run of a store; see :class:`viewfinder.tracking.protocol.Run` for what it does."""

    def __init__(self, store: Store, run_id: str, task: str) -> None:
        """Bind to a run that exists and is RUNNING."""
        self._store = store
        self._id = run_id
        self._task = task

    @property
    def id(self) -> str | None:
        """The MLflow run id."""
        return self._id

    def logger(self) -> MLFlowLogger | None:
        """Return a Lightning logger that writes into this run."""
        from viewfinder.tracking.lightning import RunLogger

        return RunLogger(self._store, self._id, self._task)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log a nested mapping as flat, dotted params."""
        from mlflow.entities import Param

        wanted = flatten(params)
        for name, value in wanted.items():
            if len(value) > PARAM_LIMIT:
                self.log_text(value, f"long_params/{name}.txt")
                wanted[name] = f"{value[: PARAM_LIMIT - 3]}..."
        with store_errors(self._store.uri):
            present = self._store.client.get_run(self._id).data.params
            new = [Param(name, value) for name, value in wanted.items() if name not in present]
            for batch in batches(new, PARAMS_PER_BATCH):
                self._store.client.log_batch(self._id, params=batch)
        changed = {name for name in wanted.keys() & present.keys() if wanted[name] != present[name]}
        self.set_tags({f"param.{name}": wanted[name] for name in sorted(changed)})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics in one request for each thousand."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [
            Metric(entry_name(name), float(value), now, step or 0)
            for name, value in metrics.items()
        ]
        with store_errors(self._store.uri):
            for batch in batches(entries, METRICS_PER_BATCH):
                self._store.client.log_batch(self._id, metrics=batch)

    def log_objective(self, value: float, monitor: str, mode: Literal["min", "max"]) -> None:
        """Log what a sweep compares."""
        self.log_metrics({OBJECTIVE: value})
        self.set_tags({MONITOR_TAG: monitor, MODE_TAG: mode})

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Upload one file."""
        with store_errors(self._store.uri):
            self._store.client.log_artifact(self._id, str(path), folder)

    def log_artifacts(self, directory: str | Path, folder: str | None = None) -> None:
        """Upload what is in a folder."""
        with store_errors(self._store.uri):
            self._store.client.log_artifacts(self._id, str(directory), folder)

    def log_image(self, image: Image, key: str, step: int) -> None:
        """Add a picture to those of one key."""
        with store_errors(self._store.uri):
            self._store.client.log_image(self._id, image, key=key, step=step)

    def log_text(self, text: str, artifact_file: str) -> None:
        """Write a text artifact."""
        with store_errors(self._store.uri):
            self._store.client.log_text(self._id, text, artifact_file)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same name."""
        from mlflow.entities import RunTag

        entries = [RunTag(name, str(value)) for name, value in tags.items()]
        with store_errors(self._store.uri):
            for batch in batches(entries, PARAMS_PER_BATCH):
                self._store.client.log_batch(self._id, tags=batch)

    def log_input(
        self,
        name: str,
        source_path: str | Path,
        digest: str,
        context: str,
    ) -> None:
        """Log a data set that the run used."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        project = workspace.project_dir()
        relative = Path(os.path.relpath(project / source_path, project)).as_posix()
        dataset = Dataset(
            name=name,
            digest=digest[:DIGEST_LIMIT],
            source_type="local",
            source=json.dumps({"uri": relative}),
        )
        role = DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
        with store_errors(self._store.uri):
            self._store.client.log_inputs(self._id, datasets=[role])

    def log_onnx_model(
        self,
        path: str | Path,
        name: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Log an ONNX file as the run's model ``name``, in place of an earlier one."""
        from viewfinder.tracking.onnx_model import log_onnx_model

        with store_errors(self._store.uri):
            return log_onnx_model(self._store, self._id, Path(path), name, dict(metadata or {}))
