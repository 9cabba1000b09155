"""Reach the tracking store: where it is, its first use, and what to say when it does not answer."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from viewfinder import workspace
from viewfinder.errors import ViewfinderError
from viewfinder.process import importing
from viewfinder.tracking.database import artifact_location, first_use
from viewfinder.tracking.refusal import store_errors, without_credentials

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# MLflow alone retries for four minutes before it says that a server is gone.
_IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
}
_PATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def enabled() -> bool:
    """Tell whether runs are tracked: not with ``VIEWFINDER_MLFLOW=0``.

    In distributed training only the main process tracks.
    """
    rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    return os.environ.get("VIEWFINDER_MLFLOW", "1") != "0" and rank == "0"


def tracking_uri() -> str:
    """Return ``MLFLOW_TRACKING_URI``, else the SQLite store in the user's checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.root() / 'mlflow.db'}"


@dataclass(frozen=True)
class Store:
    """A store that has answered, and the experiment of one task in it.

    Attributes:
        client: MLflow's client of this store.
        uri: The store's tracking URI.
        experiment_id: Identifier of the MLflow experiment.
    """

    client: MlflowClient
    uri: str
    experiment_id: str


def connect(experiment: str) -> Store:
    """Open the tracking store and find or create ``experiment`` in it.

    Args:
        experiment: Name of the MLflow experiment, by convention the task.

    Raises:
        ViewfinderError: If the store does not answer, or the experiment was deleted in it.
    """
    uri = tracking_uri()
    with loaded_mlflow(), store_errors(uri), impatience(), first_use(uri):
        return _open(uri, experiment)


@contextmanager
def loaded_mlflow() -> Iterator[None]:
    """Import MLflow, set to be patient and silent, for what is done inside the block."""
    for name, value in _PATIENT.items():
        os.environ.setdefault(name, value)
    with importing():
        import mlflow.tracking  # noqa: F401

        _silence_first_use()
        yield


def _open(uri: str, name: str) -> Store:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return Store(client, uri, client.create_experiment(name, artifact_location(uri)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another client of the same server was faster.
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        number, shown = experiment.experiment_id, without_credentials(uri)
        raise ViewfinderError(
            f"The MLflow experiment {name!r} was deleted from {shown}, yet still holds its name. "
            f"Bring it back with `MLFLOW_TRACKING_URI={shown} "
            f"mlflow experiments restore -x {number}` or remove it with "
            f"`mlflow gc --backend-store-uri {shown} --experiment-ids {number}`."
        )
    return Store(client, uri, experiment.experiment_id)


@contextmanager
def impatience() -> Iterator[None]:
    """Shorten MLflow's patience, unless the user set it, where nothing is lost by giving up."""
    before = {name: os.environ.get(name) for name in _IMPATIENT}
    ours = {name for name, value in before.items() if value == _PATIENT[name]}
    os.environ.update({name: _IMPATIENT[name] for name in ours})
    try:
        yield
    finally:
        os.environ.update({name: _PATIENT[name] for name in ours})


def _silence_first_use() -> None:
    """Keep migrations, retries and tracebacks of errors that are raised anyway off stderr."""
    if os.environ.get("VIEWFINDER_DEBUG") == "1":
        return
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
