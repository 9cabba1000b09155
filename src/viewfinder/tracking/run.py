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
        run_id: A run to resume. Where this store does not know it (a fresh clone), the run that
            names it in its tag ``viewfinder.original_run_id`` is resumed, or opened if there is
            none yet.
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
        known = _find(store, run_id) or _find_successor(store, run_id)
        entity = _resume(store, known) if known else _create(store, name, run_id, tags)
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


def _find(store: Store, run_id: str | None) -> MlflowEntity | None:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        entity = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return None if entity.info.lifecycle_stage == "deleted" else entity


def _find_successor(store: Store, run_id: str | None) -> MlflowEntity | None:
    """Return the run that stands for one that only another store knows."""
    if run_id is None:
        return None
    wanted = f"tags.`{ORIGINAL_TAG}` = '{run_id}'"
    found = store.client.search_runs([store.experiment_id], wanted, max_results=1)
    return found[0] if found else None


def _resume(store: Store, entity: MlflowEntity) -> MlflowEntity:
    number = entity.info.run_id
    store.client.update_run(number, status="RUNNING")
    for key, value in _sweep_tags().items():
        store.client.set_tag(number, key, value)
    return entity


def _create(store: Store, name: str, run_id: str | None, tags: Mapping[str, str]) -> MlflowEntity:
    original = {ORIGINAL_TAG: run_id} if run_id else {}
    ours = {**tags, **original, **_sweep_tags()}
    return store.client.create_run(store.experiment_id, tags=ours, run_name=name)


def _sweep_tags() -> dict[str, str]:
    """Return the parent and the overrides of a sweep's job."""
    variables = {PARENT_TAG: PARENT_VARIABLE, OVERRIDES_TAG: OVERRIDES_VARIABLE}
    found = {tag: os.environ.get(variable) for tag, variable in variables.items()}
    return {tag: value for tag, value in found.items() if value}
