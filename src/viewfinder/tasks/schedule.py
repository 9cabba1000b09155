"""Learning-rate schedules, and how long they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule before the length of the training is known.

    Attributes:
        factory: Makes the scheduler from an optimizer.
        interval: Whether it advances each optimizer step or each epoch.
        length_argument: The factory's argument that takes the number of steps or epochs, if it
            has one.
    """

    factory: Callable[..., LRScheduler]
    interval: Literal["step", "epoch"] = "epoch"
    length_argument: str | None = None

    def build(self, optimizer: Optimizer, *, steps: int, epochs: int) -> dict[str, Any]:
        """Return Lightning's description of the scheduler."""
        length = steps if self.interval == "step" else epochs
        arguments = {self.length_argument: length} if self.length_argument else {}
        return {"scheduler": self.factory(optimizer, **arguments), "interval": self.interval}
