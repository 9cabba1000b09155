"""The life of a run: opened or resumed, and always ended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from viewfinder.errors import ViewfinderError
from viewfinder.tracking.names import (
    ORIGINAL_TAG,
    OVERRIDES_TAG,
    OVERRIDES_VARIABLE,
    PARENT_TAG,
    PARENT_VARIABLE,
)
from viewfinder.tracking.protocol import NoRun, Run
from viewfinder.tracking.refusal import store_errors
from viewfinder.tracking.store import Store, connect, enabled, impatience

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity


@contextmanager
def open_run(
    *, task: str, name: str, run_id: str | None = None, tags: Mapping[str, str] = {}
) -> Iterator[Run]:
    """Open a run for the length of a ``with`` block.

    The run ends FINISHED; FAILED after an exception; KILLED after Ctrl-C or an exit with a
    non-zero code, which is what the command line makes of SIGTERM.

    Args:
        task: Name of the MLflow experiment.
        name: Name of a new run.
        run_id: A run to resume. Where this store does not know it (a fresh clone), a new run is
            opened that names it in the tag ``viewfinder.original_run_id``.
        tags: Tags of a new run; a resumed one keeps its own.

    Yields:
        The run; one that does nothing when tracking is off.

    Raises:
        ViewfinderError: If the tracking store does not answer, at the start or later.
    """
    if not enabled():
        yield NoRun()
        return
    from viewfinder.tracking.mlflow_run import MlflowRun

    store = connect(task)
    with store_errors(store.uri):
        entity = _resume(store, run_id) or _create(store, name, run_id, tags)
    number = entity.info.run_id
    try:
        yield MlflowRun(store, number, task)
    except BaseException as error:
        _end_after(error, store, number)
        raise
    with store_errors(store.uri):
        store.client.set_terminated(number, "FINISHED")


def _end_after(error: BaseException, store: Store, number: str) -> None:
    try:
        with store_errors(store.uri), impatience():
            store.client.set_terminated(number, _status_after(error))
    except ViewfinderError as second:
        # The first error is the one to mend; that of a server which is gone says so itself.
        error.add_note(f"The MLflow run {number} could not be ended: {second}")


def _status_after(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "FINISHED" if error.code in (None, 0) else "KILLED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def _resume(store: Store, run_id: str | None) -> MlflowEntity | None:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        entity = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    if entity.info.lifecycle_stage == "deleted":
        return None
    store.client.update_run(run_id, status="RUNNING")
    return entity


def _create(store: Store, name: str, run_id: str | None, tags: Mapping[str, str]) -> MlflowEntity:
    ours = {
        ORIGINAL_TAG: run_id,
        PARENT_TAG: os.environ.get(PARENT_VARIABLE),
        OVERRIDES_TAG: os.environ.get(OVERRIDES_VARIABLE),
    }
    known = {key: value for key, value in ours.items() if value}
    return store.client.create_run(store.experiment_id, tags={**tags, **known}, run_name=name)
