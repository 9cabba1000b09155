"""What is said when the tracking store does not answer."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from viewfinder.errors import ViewfinderError

_REASON_LIMIT = 600
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
_OTHER_VERSION = "out-of-date database schema"
_LOCKED = "database is locked"
_CREDENTIALS = re.compile(r"//\S*@")


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn a store that fails inside the block into a ``ViewfinderError`` with the mends."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise refusal(uri, error) from error
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise refusal(uri, error) from error


def refusal(uri: str, error: Exception) -> ViewfinderError:
    """Return the error that names the store, the reason and the mends, without passwords."""
    reason = " ".join(str(error).split())
    if len(reason) > _REASON_LIMIT:  # the cause stands at the end, what was asked at the start
        reason = f"{reason[: _REASON_LIMIT // 2]} ... {reason[-_REASON_LIMIT // 2 :]}"
    wanted = (
        "A server must be running and reachable, a local store writable with room on the disk. "
        "Start it or make room"
    )
    message = (
        f"The MLflow tracking store {uri} did not take the run: {reason}\n"
        f"{special_mend(reason, uri) or wanted}, unset MLFLOW_TRACKING_URI to use the local store, "
        "or set VIEWFINDER_MLFLOW=0 to run without tracking."
    )
    return ViewfinderError(without_credentials(message))


def special_mend(reason: str, uri: str) -> str | None:
    """Return what helps with a database that is locked, or made by another version of MLflow."""
    if _OTHER_VERSION in reason:
        return (
            "Another version of MLflow made it: install that version, or back the store up and run "
            f"`mlflow db upgrade {uri}`"
        )
    if _LOCKED in reason:
        return "End the process that writes to it, or wait for it"
    return None


def without_credentials(text: str) -> str:
    """Return a text with the user and password of every address in it masked."""
    return _CREDENTIALS.sub("//***@", text)
