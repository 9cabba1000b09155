"""What is looked at before a training begins: do all its parts fit each other?"""

import math
from collections.abc import Sequence

import pytorch_lightning as pl

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.parameter_groups import ParameterGroups
from viewfinder.training.failures import memory_errors
from viewfinder.training.options import TrainingOptions
from viewfinder.training.phases import Phase
from viewfinder.training.rehearsal import rehearse, rehearse_alone


def prepare_task(
    task: VisionTask, data: VisionDataModule, options: TrainingOptions, processes: int
) -> None:
    """Give a task what its options say, and see that it fits its network and its data.

    Args:
        task: The task.
        data: Its data.
        options: What its training does.
        processes: How many train together.

    Raises:
        ViewfinderError: If it does not, or memory runs out.
    """
    task.groups = ParameterGroups(options.rates or {}, options.layer_decay)
    task.groups(task.model)
    task.learn_from(data.splits["train"])
    with memory_errors(data.batch_size, data.transform.size):
        rehearse(task, data.val_dataloader())
        # Phases may freeze what can't learn from one image, and processes may share statistics.
        images = min(data.batch_size, len(data.splits["train"])) * processes
        if images == 1 and not options.phases:
            rehearse_alone(task, data.val_dataloader())


def check_rates(task: VisionTask, phases: Sequence[Phase], trainer: pl.Trainer, steps: int) -> None:
    """Make every optimizer and schedule once, so that wrong options show before the training.

    Args:
        task: The task.
        phases: The phases of the training; none for one, with the task's own optimizer.
        trainer: The trainer.
        steps: Batches an epoch.

    Raises:
        ViewfinderError: If one can't be made.
    """
    epochs = trainer.max_epochs or 1
    updates = math.ceil(steps / trainer.accumulate_grad_batches) * epochs
    makers = [(phase.optimizer, phase.schedule) for phase in phases]
    if not makers and task.make_optimizer is not None:
        makers = [(task.make_optimizer, task.schedule)]
    for make_optimizer, schedule in makers:
        optimizer = make_optimizer(task.groups(task.model))
        if schedule is not None:
            schedule.build(
                optimizer,
                steps=updates,
                epochs=epochs,
                monitor=task.monitor,
                mode=task.mode,
            )


def check_finders(trainer: pl.Trainer, options: TrainingOptions) -> None:
    """Refuse to look for a batch size in several processes, of which one may run out of memory.

    Raises:
        ViewfinderError: If it is asked for.
    """
    if options.find_batch_size and trainer.world_size > 1:
        raise ViewfinderError(
            f"training.find_batch_size can't be used with {trainer.world_size} processes "
            "(trainer.devices, trainer.num_nodes). Find it with trainer.devices=1, then set "
            "loader.batch_size, which is that of one device, and training.find_batch_size=false."
        )


def check_batches(trainer: pl.Trainer, data: VisionDataModule) -> int:
    """Refuse limits that leave nothing to learn from or to validate; return batches an epoch.

    Raises:
        ViewfinderError: If there is no batch, or no epoch is validated.
    """
    splits: tuple[Split, ...] = ("train", "val")
    counts = [_limited(trainer, data, split) for split in splits]
    every, last = trainer.check_val_every_n_epoch or 1, trainer.max_epochs or 1
    if every > last:
        raise ViewfinderError(
            f"trainer.check_val_every_n_epoch is {every}, but trainer.max_epochs is {last}: no "
            "epoch would be validated, so none could be chosen. Lower the one or raise the other."
        )
    return counts[0]


def _limited(trainer: pl.Trainer, data: VisionDataModule, split: Split) -> int:
    """Return the batches of an epoch; making a loader to ask it might measure for seconds."""
    rounded = math.floor if split == "train" else math.ceil
    images = rounded(len(data.splits[split]) / trainer.world_size)
    drop = split == "train" and images > data.batch_size
    batches = images // data.batch_size if drop else math.ceil(images / data.batch_size)
    key = f"limit_{split}_batches"
    limit = getattr(trainer, key)
    count = int(limit * batches) if isinstance(limit, float) else min(limit, batches)
    if count < 1:
        raise ViewfinderError(
            f"trainer.{key} is {limit}, which leaves none of {batches} batches. Set it to 1 or "
            "more batches, or to a larger share of them (1.0 for all)."
        )
    return count
