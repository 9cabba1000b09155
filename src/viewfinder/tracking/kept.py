"""Runs that a store keeps, and the files in them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.tracking.refusal import special_mend, without_credentials
from viewfinder.tracking.store import impatience, loaded_mlflow, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient

_SQLITE = "sqlite:///"
_LOCK_SECONDS = 5.0
_MOST_KNOWN, _MOST_NAMED = 1000, 5
_UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class KeptRun:
    """A run that was found in the store.

    Attributes:
        client: MLflow's client of the store.
        uri: The store's tracking URI.
        id: The MLflow run id.
        name: Name of the run.
    """

    client: MlflowClient
    uri: str
    id: str
    name: str

    def download(self, path: str, folder: Path) -> Path | None:
        """Fetch one artifact.

        Args:
            path: Where it lies in the run, such as ``test/predictions.parquet``.
            folder: An existing folder; the file comes under the same path below it.

        Returns:
            The file; None if the run has no such artifact.

        Raises:
            ViewfinderError: If the store or its artifacts can't be read.
        """
        parent = path.rpartition("/")[0]
        with _reading(self.uri):
            present = {item.path for item in self.client.list_artifacts(self.id, parent or None)}
            if path not in present:
                return None
            return Path(self.client.download_artifacts(self.id, path, str(folder)))


def find_run(run_id: str) -> KeptRun:
    """Find a run in the tracking store, whatever its experiment; nothing is written.

    Raises:
        ViewfinderError: If there is no such run, or the store is missing, locked, of another
            version or does not answer.
    """
    uri = tracking_uri()
    shown = without_credentials(uri)
    _check_database(uri, shown)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with loaded_mlflow(), _reading(uri), impatience():
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        client = MlflowClient(uri)
        try:
            entity = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in _UNKNOWN:
                raise
            raise ViewfinderError(
                f"The MLflow store {shown} has no run {run_id!r}.{_known(client, run_id)}"
            ) from error
    if entity.info.lifecycle_stage == "deleted":
        raise ViewfinderError(
            f"The MLflow run {run_id} in {shown} was deleted. Bring it back with "
            f"`MLFLOW_TRACKING_URI={shown} mlflow runs restore --run-id {run_id}`."
        )
    return KeptRun(client, uri, run_id, str(entity.info.run_name))


def _known(client: MlflowClient, run_id: str) -> str:
    experiments = [item.experiment_id for item in client.search_experiments()]
    runs: list[MlflowEntity] = client.search_runs(
        experiments, max_results=_MOST_KNOWN, order_by=["start_time DESC"]
    )
    if not runs:
        return " It holds no runs yet."
    named = ", ".join(f"{run.info.run_id} ({run.info.run_name})" for run in runs[:_MOST_NAMED])
    return f"{did_you_mean(run_id, [run.info.run_id for run in runs])} Its newest runs: {named}."


def _check_database(uri: str, shown: str) -> None:
    """Refuse a SQLite file that is missing or locked: MLflow makes the one, waits for the other."""
    if not uri.startswith(_SQLITE):
        return
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    if not path.is_file():
        raise ViewfinderError(
            f"There is no MLflow store {shown}. Train and evaluate with tracking on, or set "
            "MLFLOW_TRACKING_URI to the store that holds the run."
        )
    try:
        with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        raise ViewfinderError(
            f"The MLflow store {shown} can't be read: {error}. If it is locked, end the process "
            "that writes to it, or wait for it, then run again."
        ) from error
    except sqlite3.DatabaseError as error:
        raise ViewfinderError(
            f"The MLflow store {shown} can't be read: {error}. Set MLFLOW_TRACKING_URI to the "
            "store that holds the run."
        ) from error


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """Turn a store that can't be read inside the block into a ``ViewfinderError``."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())
        wanted = "It must be running and reachable; MLFLOW_TRACKING_URI says where it is"
        mend = special_mend(reason, uri) or wanted
        message = f"The MLflow store {uri} can't be read: {reason} {mend}."
        raise ViewfinderError(without_credentials(message)) from error
