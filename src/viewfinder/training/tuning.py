"""Learning rate and batch size, chosen by Lightning's finders before a training."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.tuner.tuning import Tuner

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.tasks.base import VisionTask
from viewfinder.training.options import TrainingOptions

_FILE = "tuned.json"
_LARGEST_RATE = 1.0
_SMALLEST_RATE = 1e-6
_RATES = 60


def tune(
    task: VisionTask,
    data: VisionDataModule,
    make_trainer: Callable[..., pl.Trainer],
    options: TrainingOptions,
    state: Path,
    *,
    first: bool = True,
) -> dict[str, float]:
    """Choose what is to be chosen, print it, and set it in task and data.

    A training that goes on keeps what was chosen when it began.

    Args:
        task: The task; left with the weights that it came with.
        data: Its data.
        make_trainer: Makes the trainer.
        options: Say what is to be chosen.
        state: Folder of the training's state.
        first: Whether this is the first process of the training, which alone prints and writes.

    Returns:
        What was chosen, by config key.

    Raises:
        ViewfinderError: If no learning rate could be found.
    """
    path = state / _FILE
    if path.is_file():
        chosen: dict[str, float] = json.loads(path.read_text())
        _apply(chosen, task, data)
        return chosen
    chosen = {}
    if options.find_batch_size:
        chosen["loader.batch_size"] = _batch_size(task, data, make_trainer, state)
    if options.find_lr:
        chosen["optimizer.lr"] = _rate(task, data, make_trainer, state)
    _apply(chosen, task, data)
    if chosen and first:
        with new_file(path) as draft:
            draft.write_text(json.dumps(chosen))
        found = "  ".join(f"{key}={value:.3g}" for key, value in chosen.items())
        print(f"Chosen: {found}", file=sys.stderr)
    return chosen


def _apply(chosen: dict[str, float], task: VisionTask, data: VisionDataModule) -> None:
    if "loader.batch_size" in chosen:
        data.batch_size = int(chosen["loader.batch_size"])
    if "optimizer.lr" in chosen and task.make_optimizer is not None:
        task.make_optimizer = functools.partial(task.make_optimizer, lr=chosen["optimizer.lr"])


def _tuner(make_trainer: Callable[..., pl.Trainer], state: Path, **options: Any) -> Tuner:
    trainer = make_trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=str(state),
        **options,
    )
    return Tuner(trainer)


def _rate(
    task: VisionTask, data: VisionDataModule, make_trainer: Callable[..., pl.Trainer], state: Path
) -> float:
    """Return the rate at which the loss falls fastest. Source: L. Smith, WACV 2017."""
    # Every batch is a step at a rate of its own, every epoch has one, and none is validated.
    tuner = _tuner(
        make_trainer,
        state,
        max_epochs=_RATES,
        check_val_every_n_epoch=2 * _RATES,
        accumulate_grad_batches=1,
    )
    finder = tuner.lr_find(
        task,
        datamodule=data,
        min_lr=_SMALLEST_RATE,
        max_lr=_LARGEST_RATE,
        num_training=_RATES,
        update_attr=False,
    )
    found = finder.suggestion() if finder is not None else None
    if found is None:
        raise ViewfinderError(
            "training.find_lr found no learning rate: the training split has too few batches, or "
            "the loss is not finite at any rate. Set optimizer.lr and training.find_lr=false."
        )
    return float(f"{found:.3g}")


def _batch_size(
    task: VisionTask, data: VisionDataModule, make_trainer: Callable[..., pl.Trainer], state: Path
) -> int:
    """Return the largest power of two that memory holds and the training split fills."""
    before = data.batch_size
    largest = len(data.splits["train"])
    try:
        found = _tuner(make_trainer, state).scale_batch_size(
            task, datamodule=data, mode="power", steps_per_trial=2, init_val=8, max_val=largest
        )
    finally:
        data.batch_size = before
    return min(found or before, largest)
