"""A Hydra sweep as one MLflow parent run with its children, under every launcher."""

from __future__ import annotations

import atexit
import json
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from viewfinder.errors import ViewfinderError
from viewfinder.tracking import children
from viewfinder.tracking.lineage import lineage_tags
from viewfinder.tracking.mlflow_run import MlflowRun
from viewfinder.tracking.names import OVERRIDES_VARIABLE, PARENT_VARIABLE
from viewfinder.tracking.refusal import store_errors
from viewfinder.tracking.store import Store, connect, enabled

_NO_TASK = "sweeps"
_NAME_LIMIT = 120


class SweepTracker(Callback):
    """Open a parent run before a sweep and end it with the best child.

    Put it into the config as
    ``hydra.callbacks.sweep._target_: viewfinder.tracking.sweep.SweepTracker``. It travels to the
    launcher's workers inside Hydra's context, and there tells each job its parent.
    """

    def __init__(self) -> None:
        """Start without a parent: a single run needs none."""
        self._parent: str | None = None
        self._task = _NO_TASK

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the parent in the experiment of the base config's task."""
        if not enabled():
            return
        self._task = str(OmegaConf.select(config, "task.name", default=None) or _NO_TASK)
        overrides = children.sweep_overrides(config)
        with _said_once():
            store = connect(self._task)
            with store_errors(store.uri):
                entity = store.client.create_run(
                    store.experiment_id,
                    run_name=f"sweep {' '.join(overrides)}"[:_NAME_LIMIT],
                    tags=lineage_tags(),
                )
            self._parent = entity.info.run_id
            atexit.register(self._abandon)
            os.environ[PARENT_VARIABLE] = entity.info.run_id
            MlflowRun(store, entity.info.run_id, self._task).log_params(
                children.override_params(overrides)
            )

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell the job, in whatever process it runs, its parent and its overrides."""
        if self._parent is None:
            return
        os.environ[PARENT_VARIABLE] = self._parent
        os.environ[OVERRIDES_VARIABLE] = json.dumps(list(config.hydra.overrides.task))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End the parent with the best child's id, objective and overrides."""
        if self._parent is None:
            return
        with _said_once():
            self._end("FINISHED")

    def _abandon(self) -> None:
        """End the parent of a sweep that died: Hydra calls no callback then."""
        with suppress(ViewfinderError):  # the error that ends the process was already shown
            self._end("FAILED")

    def _end(self, status: str) -> None:
        parent, self._parent = self._parent, None
        if parent is None:
            return
        atexit.unregister(self._abandon)
        for variable in (PARENT_VARIABLE, OVERRIDES_VARIABLE):
            os.environ.pop(variable, None)
        store = connect(self._task)
        with store_errors(store.uri):
            family = children.find(store.client, parent)
            children.end_orphans(store.client, family)
        if status == "FINISHED":
            self._log_best(store, parent, children.best(family))
        with store_errors(store.uri):
            store.client.set_terminated(parent, status)

    def _log_best(self, store: Store, parent: str, best: children.Best | None) -> None:
        if best is None:
            return
        run = MlflowRun(store, parent, self._task)
        run.log_objective(best.objective, best.monitor, best.mode)
        run.set_tags({"viewfinder.best_run_id": best.run_id})
        run.log_params({"best": children.override_params(best.overrides)})


@contextmanager
def _said_once() -> Iterator[None]:
    """End the process with the message: Hydra turns any exception of a callback into a warning."""
    try:
        yield
    except ViewfinderError as error:
        if os.environ.get("VIEWFINDER_DEBUG") == "1":
            traceback.print_exception(error)
        raise SystemExit(f"error: {error}") from error
