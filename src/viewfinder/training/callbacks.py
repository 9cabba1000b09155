"""What the trainer does besides training."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from viewfinder.training.phases import Phases


class History(Callback):
    """Keeps the metrics of every epoch, across interruptions.

    An epoch that was not validated has no ``val/`` metrics: those of an earlier one, which
    Lightning still shows, are left out.

    Args:
        phases: The phases of the training, if it has any.

    Attributes:
        rows: One mapping an epoch: its number from 1, the phase's, the metrics and the rate.
    """

    def __init__(self, phases: Phases | None = None) -> None:
        self.phases = phases
        self.rows: list[dict[str, float]] = []
        self._validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Expect no validation."""
        self._validated = False

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Remember that the epoch was validated."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if self._validated or not name.startswith("val/")
        }
        epoch = trainer.current_epoch
        phase = {} if self.phases is None else {"phase": self.phases.at(epoch) + 1}
        # Groups are sorted by their share of the rate.
        rate = trainer.optimizers[0].param_groups[-1]["lr"]
        self.rows.append({"epoch": epoch + 1, **phase, **dict(sorted(metrics.items())), "lr": rate})

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the epochs before the interruption."""
        self.rows = list(state_dict["rows"])


class RandomState(Callback):
    """Carries the random generators through a checkpoint, so that a resumed training is exact."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every generator as tensors, integers and floats."""
        name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": [str(name), [int(key) for key in keys], position, has_gauss, gauss],
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts, after all other set-up."""
        self._pending = state_dict

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Restore the generators if training goes on from a checkpoint."""
        state = self.__dict__.pop("_pending", None)
        if state is None:
            return
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"]:
            torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
        name, keys, position, has_gauss, gauss = state["numpy"]
        np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, gauss))
        version, internal, gauss_next = state["python"]
        random.setstate((version, tuple(internal), gauss_next))
