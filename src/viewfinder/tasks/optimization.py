"""Optimizer and schedule as the trainer needs them."""

import math
from collections.abc import Callable
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.optim import Optimizer

from viewfinder.tasks.parameter_groups import scale_rates
from viewfinder.tasks.schedule import Schedule


def build_optimizer(
    make: Callable[..., Optimizer], groups: Callable[[], list[dict[str, Any]]], trainer: pl.Trainer
) -> Optimizer:
    """Return an optimizer with which the trainer can do what it is asked to.

    One that is fused scales mixed precision's gradients back within its step, where they can't be
    clipped any more: then it is made anew without.

    Args:
        make: Makes the optimizer from parameter groups.
        groups: Returns the groups, new ones at each call, since optimizers write into them.
        trainer: The trainer.
    """
    optimizer = make(groups())
    mixed = isinstance(trainer.precision_plugin, MixedPrecision)
    if mixed and trainer.gradient_clip_val and scales_in_step(optimizer):
        optimizer = make(groups(), fused=False)
    scale_rates(optimizer)
    return optimizer


def scales_in_step(optimizer: Optimizer) -> bool:
    """Return whether an optimizer takes the scale of mixed precision off in its own step."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def build_schedule(
    schedule: Schedule,
    optimizer: Optimizer,
    trainer: pl.Trainer,
    *,
    epochs: int | None,
    monitor: str,
    mode: Literal["min", "max"],
) -> dict[str, Any]:
    """Return Lightning's description of a schedule.

    One that follows the monitored metric advances only where there is a new value of it.

    Args:
        schedule: The schedule.
        optimizer: Whose rates it sets.
        trainer: The trainer.
        epochs: How long it lasts; None for the whole training.
        monitor: The monitored metric.
        mode: Whether its best value is the smallest or the largest.
    """
    whole = trainer.max_epochs or 1
    lasting = epochs or whole
    described = schedule.build(
        optimizer,
        steps=math.ceil(trainer.estimated_stepping_batches * lasting / whole),
        epochs=lasting,
        monitor=monitor,
        mode=mode,
    )
    if "monitor" in described:
        described["frequency"] = trainer.check_val_every_n_epoch or 1
    return described
