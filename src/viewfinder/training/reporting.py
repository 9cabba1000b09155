"""What a training shows while it runs: a bar in a terminal, else a line an epoch."""

import sys
import time
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

_STEPS_A_REFRESH = 20


def reporter(monitor: str) -> Callback:
    """Return what suits the terminal, or the lack of one.

    Args:
        monitor: The metric to show.
    """
    return TrainingBar(monitor) if sys.stderr.isatty() else EpochLines(monitor)


class Reporter(Callback):
    """Measures the speed of a training.

    Args:
        monitor: The metric to show.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self._images = 0
        self._training = 0.0
        self._begun = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock of the training."""
        self._begun = time.perf_counter()
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._images = 0
        self._epoch_begun = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        """Count the images."""
        self._images += len(batch["id"]) * trainer.world_size
        self._training = time.perf_counter() - self._epoch_begun

    def figures(self, trainer: pl.Trainer) -> str:
        """Return the loss, the monitored metric and the images a second of training."""
        metrics = trainer.callback_metrics
        shown = [name for name in ("train/loss", self.monitor) if name in metrics]
        speed = self._images / max(self._training, 1e-9)
        return "  ".join(
            [*(f"{name} {float(metrics[name]):.4f}" for name in shown), f"{speed:.0f} images/s"]
        )

    def left(self, trainer: pl.Trainer, share: float) -> str:
        """Return the time that the rest of the training will take, as h:mm:ss.

        Args:
            trainer: The trainer.
            share: How much of the current epoch is done.
        """
        done = trainer.current_epoch - self._first_epoch + share
        rest = (trainer.max_epochs or 1) - trainer.current_epoch - share
        seconds = (time.perf_counter() - self._begun) / max(done, 1e-9) * rest
        return f"{timedelta(seconds=round(seconds))} left"


class EpochLines(Reporter):
    """One line an epoch, for logs and terminals that can't show a bar."""

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Print the epoch's loss, metric, speed and time."""
        if not trainer.is_global_zero:
            return
        seconds = time.perf_counter() - self._epoch_begun
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        print(
            f"{epoch}  {self.figures(trainer)}  {seconds:.1f} s  {self.left(trainer, 1.0)}",
            file=sys.stderr,
            flush=True,
        )


class TrainingBar(Reporter):
    """A bar of the epoch's steps with loss, metric, speed and time left."""

    def __init__(self, monitor: str) -> None:
        super().__init__(monitor)
        self._bar: Progress | None = None
        self._row = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Show the bar."""
        super().on_train_start(trainer, module)
        if not trainer.is_global_zero:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._bar.start()
        self._row = self._bar.add_task("", figures="")

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin a new epoch's bar."""
        super().on_train_epoch_start(trainer, module)
        if self._bar is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            total = trainer.num_training_batches
            self._bar.reset(self._row, description=epoch, total=total)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        """Move the bar every few steps."""
        super().on_train_batch_end(trainer, module, outputs, batch, batch_index)
        done, total = batch_index + 1, trainer.num_training_batches
        if self._bar is not None and (done % _STEPS_A_REFRESH == 0 or done == total):
            figures = f"{self.figures(trainer)}  {self.left(trainer, done / total)}"
            self._bar.update(self._row, completed=done, figures=figures)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Leave the last state of the bar on the screen."""
        if self._bar is not None:
            figures = f"{self.figures(trainer)}  {self.left(trainer, 0.0)}"
            self._bar.update(self._row, figures=figures)
            self._bar.stop()

    def on_exception(
        self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar down, so that it does not write over the message."""
        if self._bar is not None:
            self._bar.stop()
