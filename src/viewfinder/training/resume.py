"""Where a training keeps what it needs to go on after it was cut off."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError
from viewfinder.training.checkpoints import set_aside_unreadable

# What the stage `train` of dvc.yaml depends on, below src/viewfinder/.
TRAINING_CODE = (
    "assembly.py",
    "data/loading",
    "data/jpeg.py",
    "data/orientation.py",
    "data/schema.py",
    "data/shards.py",
    "instantiation.py",
    "models",
    "stages/train.py",
    "stages/training_record.py",
    "tasks",
    "training",
)
LAST = "last.ckpt"
_RUN = "run_id"
_DIGITS = 16


class ResumeState:
    """The folder of one training's state.

    Attributes:
        folder: Holds the last and the best checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def last_checkpoint(self) -> Path | None:
        """The checkpoint to go on from, if the training was cut off after its first epoch."""
        path = self.folder / LAST
        return path if path.is_file() else None

    @property
    def run_id(self) -> str | None:
        """The tracking run that was begun."""
        path = self.folder / _RUN
        return path.read_text() if path.is_file() else None

    def remember_run(self, run_id: str | None) -> None:
        """Keep the id of the tracking run, so that a resumed training continues it."""
        if run_id is not None:
            (self.folder / _RUN).write_text(run_id)


def fingerprint(
    config: Mapping[str, Any],
    data: Mapping[Split, str],
    code: Path,
    files: Sequence[Path] = (),
) -> str:
    """Identify a training: the same fingerprint means the same result.

    Args:
        config: All settings that the training depends on.
        data: Checksum of each split file.
        code: The package folder, of which ``TRAINING_CODE`` counts.
        files: Other files that the training starts from; one that is missing counts as such.
    """
    digest = hashlib.sha256(json.dumps([config, data], sort_keys=True, default=str).encode())
    for name in TRAINING_CODE:
        part = code / name
        for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            digest.update(path.read_bytes())
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]


@contextmanager
def resume_state(parent: Path, name: str, identity: str) -> Iterator[ResumeState]:
    """Hold the state of a training that may be cut off.

    It is removed once the training has succeeded, with the states that earlier versions of the
    experiment left, and where the training ended before its first checkpoint. A last checkpoint
    that can't be read is set aside.

    Args:
        parent: Folder of all states.
        name: The experiment.
        identity: The training's fingerprint.

    Raises:
        ViewfinderError: If another process trains on this state.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"{name}-{identity}"
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ViewfinderError(
            f"Another process is training {name!r} with this very configuration "
            f"(it holds {_lock_file(folder)}). Wait until it ends, or stop it."
        ) from None
    done = False
    try:
        set_aside_unreadable(folder / LAST)
        yield ResumeState(folder)
        done = True
        _remove_others(folder, name)
    finally:
        if done or not list(folder.glob("*.ckpt")):
            _remove(folder)
        lock.release()


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(folder: Path) -> None:
    """Remove a state whose lock is held, and the lock last: after it, others may begin."""
    if folder.exists():
        shutil.rmtree(folder)
    _lock_file(folder).unlink(missing_ok=True)


def _remove_others(own: Path, name: str) -> None:
    """Remove an experiment's other states that nobody is using."""
    states = {path.with_name(path.name.removesuffix(".lock")) for path in own.parent.iterdir()}
    for folder in states - {own}:
        if re.fullmatch(f"{re.escape(name)}-[0-9a-f]{{{_DIGITS}}}", folder.name):
            with suppress(Timeout), FileLock(_lock_file(folder), timeout=0):
                _remove(folder)
