"""One training, from a task and its data to the best weights."""

import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.training.callbacks import EpochLines, History, RandomState

_STEPS_A_REFRESH = 20
_ADVICE = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
)


@dataclass(frozen=True)
class FitResult:
    """What a training leaves behind.

    Attributes:
        weights: The network's weights after its best epoch.
        best_epoch: That epoch, counted from 0.
        score: The monitored metric there.
        history: The metrics of every epoch.
    """

    weights: dict[str, torch.Tensor]
    best_epoch: int
    score: float
    history: list[dict[str, float]]


def fit(
    task: VisionTask,
    data: VisionDataModule,
    make_trainer: Callable[..., pl.Trainer],
    *,
    state: Path,
    resume_from: Path | None,
    logger: Logger | None,
) -> FitResult:
    """Train, or go on with a training that was cut off.

    Args:
        task: What to train.
        data: Its data.
        make_trainer: Makes the trainer from callbacks, logger and the rest.
        state: Folder for the checkpoints.
        resume_from: Checkpoint to go on from.
        logger: Where metrics go besides the history.

    Raises:
        KeyboardInterrupt: If the user interrupted it; the state allows to go on.
        ViewfinderError: If the loss is no longer finite.
    """
    _quieten_libraries()
    history = History()
    best = ModelCheckpoint(state, "best", monitor=task.monitor, mode=task.mode)
    last = ModelCheckpoint(state, "last", monitor=None, enable_version_counter=False)
    trainer = make_trainer(
        callbacks=[history, RandomState(), *_progress(task.monitor), best, last],
        logger=logger or False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    if resume_from is not None:
        print(f"Resuming from {resume_from}", file=sys.stderr)
    try:
        trainer.fit(task, data, ckpt_path=resume_from)
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    if not best.best_model_path:
        raise ViewfinderError(
            f"The training ended without a value for {task.monitor!r}; its loss was "
            f"{history.rows[-1].get('train/loss') if history.rows else 'never computed'}. "
            "Lower optimizer.lr or raise trainer.max_epochs."
        )
    checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    assert best.best_model_score is not None
    return FitResult(
        weights=checkpoint["state_dict"],
        best_epoch=int(checkpoint["epoch"]),
        score=float(best.best_model_score),
        history=history.rows,
    )


def _progress(monitor: str) -> list[Callback]:
    if sys.stderr.isatty():
        return [TQDMProgressBar(refresh_rate=_STEPS_A_REFRESH)]
    return [EpochLines(monitor), _NoBar()]


class _NoBar(TQDMProgressBar):
    """Keeps Lightning from adding its own bar where there is no terminal."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=0)


def _quieten_libraries() -> None:
    """Hide advice that does not apply, and tables that repeat the logged metrics."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)
    for message in _ADVICE:
        warnings.filterwarnings("ignore", message)


def describe(result: FitResult, task: VisionTask) -> dict[str, Any]:
    """Return the figures of a training for its report."""
    return {
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        task.monitor: result.score,
    }
