"""Learning-rate schedules, and how long they are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule before the length of the training is known.

    Attributes:
        factory: Makes the scheduler from an optimizer.
        interval: Whether it advances each optimizer step or each epoch.
        length_argument: The factory's argument that takes the number of steps or epochs, if it
            has one.
        rates_argument: The factory's argument that takes the rate of each parameter group, if it
            does not read them from the optimizer.
        mode_argument: The factory's argument that takes ``min`` or ``max``, if it follows the
            monitored metric.
    """

    factory: Callable[..., LRScheduler]
    interval: Literal["step", "epoch"] = "epoch"
    length_argument: str | None = None
    rates_argument: str | None = None
    mode_argument: str | None = None

    def build(
        self,
        optimizer: Optimizer,
        *,
        steps: int,
        epochs: int,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
    ) -> dict[str, Any]:
        """Return Lightning's description of the scheduler.

        Args:
            optimizer: Whose rates it sets.
            steps: Optimizer steps that it lasts.
            epochs: Epochs that it lasts.
            monitor: The monitored metric.
            mode: Whether its best value is the smallest or the largest.
        """
        arguments: dict[str, Any] = {}
        if self.length_argument:
            arguments[self.length_argument] = steps if self.interval == "step" else epochs
        if self.rates_argument:
            arguments[self.rates_argument] = [group["lr"] for group in optimizer.param_groups]
        if self.mode_argument:
            arguments[self.mode_argument] = mode
        watched = {"monitor": monitor} if self.mode_argument else {}
        scheduler = self.factory(optimizer, **arguments)
        return {"scheduler": scheduler, "interval": self.interval, **watched}


def inverse_time(optimizer: Optimizer, *, half_life: int) -> LRScheduler:
    """Return a schedule by which the rate after t steps is lr / (1 + t / ``half_life``)."""
    return LambdaLR(optimizer, lambda step: 1 / (1 + step / half_life))


def warm_up_cosine(optimizer: Optimizer, *, total_steps: int, warm_up: float = 0.05) -> LRScheduler:
    """Return a schedule that rises linearly from nearly zero and falls to zero along a cosine.

    Args:
        optimizer: Whose rates it sets.
        total_steps: Optimizer steps that it lasts.
        warm_up: Share of the steps in which it rises.
    """
    rising = max(round(warm_up * total_steps), 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        done = min((step - rising) / max(total_steps - rising, 1), 1.0)
        return (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, factor)
