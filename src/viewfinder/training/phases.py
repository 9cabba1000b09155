"""Training in phases: what learns, how long, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.parts import Part
from viewfinder.tasks.schedule import Schedule


@dataclass(frozen=True)
class Phase:
    """One phase of a training.

    Attributes:
        optimizer: Makes the optimizer from the parameters that learn.
        schedule: Learning-rate schedule over the phase; None keeps the rate constant.
        freeze: Names of layers that do not learn, see ``Part``.
        epochs: How long it lasts; None for the rest of the training.
    """

    optimizer: Callable[..., Optimizer]
    schedule: Schedule | None = None
    freeze: str | Sequence[str] = ()
    epochs: int | None = None


class Phases(Callback):
    """Switches what learns and how, in one training with one count of epochs.

    Which phase it is follows from the epoch alone, so a resumed training is in the phase it was in.

    Args:
        phases: The phases, in order.
        task: The task that will be trained.

    Raises:
        ViewfinderError: If a phase does not fit the network.
    """

    def __init__(self, phases: Sequence[Phase], task: VisionTask) -> None:
        self.phases = phases
        self.starts: list[int] = []
        self.current = -1
        for number, phase in enumerate(phases, 1):
            part = Part(task.model, phase.freeze)
            if all(part.holds(name) for name, _ in task.model.named_parameters()):
                raise ViewfinderError(
                    f"Phase {number} of training.phases freezes the whole network "
                    f"({phase.freeze!r}), so nothing would learn. Freeze less."
                )

    def at(self, epoch: int) -> int:
        """Return the number of an epoch's phase, both counted from 0."""
        return sum(start <= epoch for start in self.starts) - 1

    def is_last(self, epoch: int) -> bool:
        """Return whether an epoch, counted from 0, belongs to the last phase that is reached."""
        return self.at(epoch) == len(self.starts) - 1

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Begin with the first phase.

        Raises:
            ViewfinderError: If the phases do not fit the trainer.
        """
        if trainer.strategy.restore_checkpoint_after_setup:
            raise ViewfinderError(
                f"training.phases can't be used with {type(trainer.strategy).__name__}: it shards "
                "parameters before it knows which of them learn. Set trainer.strategy=ddp or auto."
            )
        self._last = trainer.max_epochs or 1
        self.starts = _starts(self.phases, self._last)
        self._enter(module, 0)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up the phase of the checkpoint, before its optimizer's state is restored."""
        self._enter(module, self.at(checkpoint["epoch"]))

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Switch to the epoch's phase."""
        phase = self.at(trainer.current_epoch)
        if phase == self.current:
            return
        self._enter(module, phase)
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy):
            # It exchanges the gradients of those parameters that learned when it was built.
            strategy.model = module
            strategy.configure_ddp()
        strategy.setup_optimizers(trainer)

    def _enter(self, module: pl.LightningModule, number: int) -> None:
        assert isinstance(module, VisionTask)
        self.current = number
        phase = self.phases[number]
        ends = [*self.starts[1:], self._last]
        module.make_optimizer = phase.optimizer
        module.schedule = phase.schedule
        module.epochs = ends[number] - self.starts[number]
        module.frozen = freeze(module.model, phase.freeze)
        module.train()


def freeze(network: nn.Module, patterns: str | Sequence[str]) -> list[nn.Module]:
    """Keep a part of a network from learning and let the rest learn.

    Args:
        network: The network.
        patterns: The part, see ``Part``.

    Returns:
        The layers of the part, which must stay in evaluation mode, so that statistics of batch
        normalisation stay too.
    """
    part = Part(network, patterns)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not part.holds(name))
    return [layer for name, layer in network.named_modules() if part.holds(name)]


def _starts(phases: Sequence[Phase], max_epochs: int) -> list[int]:
    """Return the first epoch of each phase that the training reaches."""
    if any(phase.epochs is None for phase in phases[:-1]):
        raise ViewfinderError(
            "A phase of training.phases names no epochs, though another follows. Only the last may "
            "leave them out."
        )
    starts, epoch = [], 0
    for phase in phases:
        starts.append(epoch)
        epoch = max_epochs if phase.epochs is None else epoch + phase.epochs
    if epoch < max_epochs:
        raise ViewfinderError(
            f"The phases of training.phases last {epoch} epochs, but trainer.max_epochs is "
            f"{max_epochs}. Make them equal, or leave out the epochs of the last phase."
        )
    return [start for start in starts if start < max_epochs]


def check_phase(number: int, given: Mapping[str, Any]) -> None:
    """Refuse a phase of the config with unknown keys or impossible values.

    Args:
        number: Its number, counted from 1.
        given: Its mapping.

    Raises:
        ViewfinderError: Naming the key and what was expected.
    """
    known = ("freeze", "epochs", "optimizer", "scheduler")
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ViewfinderError(
            f"Phase {number} of training.phases has the key {unknown[0]!r}; a phase has "
            f"{', '.join(known)}."
        )
    epochs = given.get("epochs")
    if epochs is not None and (not isinstance(epochs, int) or epochs < 1):
        raise ViewfinderError(
            f"Phase {number} of training.phases has epochs {epochs!r}; expected a whole number of "
            "1 or more."
        )
