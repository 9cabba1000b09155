"""When a training ends before its last epoch."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from viewfinder.training.phases import Phases


class EarlyStop(EarlyStopping):
    """Ends a training whose metric no longer gets better.

    It counts in the last phase only: an earlier one is meant to come to a standstill, and its best
    value says nothing of what the layers that learn next can reach.

    Args:
        monitor: The metric.
        mode: Whether its best value is the smallest or the largest.
        patience: Validations without a better value after which the training ends.
        phases: The phases of the training; None if it has one.
    """

    def __init__(self, monitor: str, mode: str, patience: int, phases: Phases | None) -> None:
        super().__init__(monitor, mode=mode, patience=patience)
        self._phases = phases

    def _should_skip_check(self, trainer: pl.Trainer) -> bool:
        early = self._phases is not None and not self._phases.is_last(trainer.current_epoch)
        return early or super()._should_skip_check(trainer)
