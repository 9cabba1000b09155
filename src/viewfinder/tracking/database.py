"""A tracking store that is a database: its artifacts and its first use."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from viewfinder import workspace
from viewfinder.errors import ViewfinderError
from viewfinder.tracking.refusal import refusal

_LOCK_SECONDS = 120.0
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"


def artifact_location(uri: str) -> str | None:
    """Return the artifact folder for a database; a server knows its own."""
    if not uri.startswith(_DATABASES):
        return None
    return Path(workspace.root(), "mlartifacts").as_uri()


@contextmanager
def first_use(uri: str) -> Iterator[None]:
    """Open a database one process at a time: MLflow's migrations are not safe in parallel.

    Raises:
        ViewfinderError: If the database cannot be opened, or the lock is not free in two minutes.
    """
    if not uri.startswith(_DATABASES):
        yield
        return
    from sqlalchemy.exc import SQLAlchemyError

    path = workspace.root() / ".cache" / "viewfinder" / "mlflow.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=_LOCK_SECONDS):
            _probe(uri)
            yield
    except Timeout as error:
        raise ViewfinderError(
            f"Another process has held {path} for {_LOCK_SECONDS:.0f} s while it opens the MLflow "
            "store. Find and end the process that hangs, then run again."
        ) from error
    except (SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        raise refusal(uri, error) from error


def _probe(uri: str) -> None:
    """Read a SQLite file once: MLflow tries a file that cannot be opened for 100 s."""
    if not uri.startswith(_SQLITE):
        return
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    if path.parent.is_dir():  # MLflow makes a folder that is missing
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA schema_version")
