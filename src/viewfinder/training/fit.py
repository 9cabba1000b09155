"""One training, from a task and its data to the best weights."""

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.training.averaging import MovingAverage
from viewfinder.training.callbacks import History, RandomState
from viewfinder.training.checkpoints import WholeCheckpoints
from viewfinder.training.failures import FiniteLoss, compiler_errors, memory_errors
from viewfinder.training.mixing import Mixing
from viewfinder.training.options import TrainingOptions
from viewfinder.training.phases import Phases
from viewfinder.training.preparation import check_batches, check_finders, check_rates, prepare_task
from viewfinder.training.reporting import reporter
from viewfinder.training.stopping import EarlyStop
from viewfinder.training.tuning import tune

_LIGHTNING_INTERRUPTED = 1
_ADVICE = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
    ".*in eval mode at the start of training.*",
    ".*recommended to use .*sync_dist=True.*",
    ".*when running on CPU or when automatic OOM detection.*",
)


@dataclass(frozen=True)
class FitResult:
    """What a training leaves behind.

    Attributes:
        weights: The task's state after its best epoch.
        best_epoch: That epoch, counted from 1.
        score: The monitored metric there.
        history: The metrics of every epoch.
        chosen: What was chosen before the training, by config key.
        seconds: How long it took; None if it went on from where an earlier one was cut off.
    """

    weights: dict[str, torch.Tensor]
    best_epoch: int
    score: float
    history: list[dict[str, float]]
    chosen: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Training:
    """A training whose parts fit each other; see ``prepare``."""

    task: VisionTask
    data: VisionDataModule
    make_trainer: Callable[..., pl.Trainer]
    options: TrainingOptions
    state: Path
    trainer: pl.Trainer
    best: ModelCheckpoint
    history: History

    def run(
        self,
        *,
        resume_from: Path | None,
        logger: Logger | None,
        observers: Sequence[Callback] = (),
    ) -> FitResult:
        """Train, or go on with a training that was cut off.

        Args:
            resume_from: Checkpoint to go on from.
            logger: Where metrics go besides the history.
            observers: Callbacks that watch the training and change nothing.

        Raises:
            KeyboardInterrupt: If the user interrupted it; the state allows to go on.
            ViewfinderError: If the loss is no longer finite, or memory runs out.
        """
        if resume_from is not None and self.trainer.is_global_zero:
            print(f"Resuming from {resume_from}", file=sys.stderr)
        begun = perf_counter()
        try:
            with memory_errors(self.data.batch_size, self.data.transform.size):
                chosen = tune(
                    self.task,
                    self.data,
                    self.make_trainer,
                    self.options,
                    self.state,
                    first=self.trainer.is_global_zero,
                )
            if self.options.compile:  # after the tuning, which would compile for each batch size
                self.task.model.compile()
            self.trainer.loggers = [logger] if logger else []
            self.trainer.callbacks[:0] = observers  # type: ignore[attr-defined]
            refusals = compiler_errors() if self.options.compile else nullcontext()
            with memory_errors(self.data.batch_size, self.data.transform.size), refusals:
                self.trainer.fit(self.task, self.data, ckpt_path=resume_from)
        except SystemExit as stop:
            if stop.code != _LIGHTNING_INTERRUPTED:
                raise
            raise KeyboardInterrupt from stop
        except MisconfigurationException as error:
            raise ViewfinderError(f"Lightning refuses this training: {error}") from error
        seconds = perf_counter() - begun if resume_from is None else None
        return replace(_result(self.task, self.best, self.history, chosen), seconds=seconds)


def prepare(
    task: VisionTask,
    data: VisionDataModule,
    make_trainer: Callable[..., pl.Trainer],
    *,
    state: Path,
    options: TrainingOptions | None = None,
) -> Training:
    """Build a training, and see before it begins that all its parts fit each other.

    Args:
        task: What to train.
        data: Its data.
        make_trainer: Makes the trainer from callbacks, logger and the rest.
        state: Folder for the checkpoints.
        options: What to do besides the trainer's own options; None for nothing.

    Raises:
        ViewfinderError: If a part can't be made, or does not fit the others.
    """
    options = options or TrainingOptions()
    _quieten_libraries()
    best = ModelCheckpoint(state, "best", monitor=task.monitor, mode=task.mode)
    # Each epoch's, whether it was validated or not, and after the history's row.
    last = ModelCheckpoint(
        state,
        "last",
        monitor=None,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    phases = Phases(options.phases, task) if options.phases else None
    history = History(phases)
    callbacks = [history, RandomState(), *_callbacks(task, options, best, phases), best, last]
    if phases is not None:
        callbacks.insert(0, phases)
    trainer = make_trainer(
        callbacks=callbacks,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.strategy.checkpoint_io = WholeCheckpoints()
    check_finders(trainer, options)
    steps = check_batches(trainer, data)
    prepare_task(task, data, options, trainer.world_size)
    check_rates(task, options.phases or [], trainer, steps)
    return Training(task, data, make_trainer, options, state, trainer, best, history)


def fit(
    task: VisionTask,
    data: VisionDataModule,
    make_trainer: Callable[..., pl.Trainer],
    *,
    state: Path,
    resume_from: Path | None,
    logger: Logger | None,
    options: TrainingOptions | None = None,
) -> FitResult:
    """Prepare a training and run it; see ``prepare`` and ``Training.run``."""
    training = prepare(task, data, make_trainer, state=state, options=options)
    return training.run(resume_from=resume_from, logger=logger)


def _callbacks(
    task: VisionTask, options: TrainingOptions, best: ModelCheckpoint, phases: Phases | None
) -> list[Callback]:
    """Return what the options ask for; the moving average comes before the checkpoints."""
    callbacks: list[Callback] = [reporter(task.monitor), FiniteLoss(best)]
    if options.mixup or options.cutmix:
        callbacks.append(Mixing(task, mixup=options.mixup, cutmix=options.cutmix))
    if options.ema_decay:
        callbacks.append(MovingAverage(options.ema_decay))
    if options.early_stopping:
        callbacks.append(EarlyStop(task.monitor, task.mode, options.early_stopping, phases))
    return callbacks


def _result(
    task: VisionTask, best: ModelCheckpoint, history: History, chosen: dict[str, float]
) -> FitResult:
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
        best_epoch=int(checkpoint["epoch"]) + 1,
        score=float(best.best_model_score),
        history=history.rows,
        chosen=chosen,
    )


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
        "parameters": sum(parameter.numel() for parameter in task.model.parameters()),
        **({} if result.seconds is None else {"seconds": round(result.seconds, 1)}),
        **{name.replace(".", "_"): value for name, value in result.chosen.items()},
    }
