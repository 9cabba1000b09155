"""Trainings that can't go on: what is said of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from viewfinder.errors import ViewfinderError

_CPU_MEMORY = "DefaultCPUAllocator"
_ADVICE_OF_DYNAMO = "Set TORCHDYNAMO_VERBOSE=1"
_COMPILER_OUTPUT = "Output:"
_COMPILER_LINES = 4


class FiniteLoss(Callback):
    """Stops the training as soon as its loss is no finite number.

    On a GPU each loss is looked at one step later, so that the check never waits for the step.

    Args:
        best: Knows where the best epoch's checkpoint is.
    """

    def __init__(self, best: ModelCheckpoint) -> None:
        self._best = best
        self._waiting: tuple[Tensor, int, int] | None = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        """Look at the loss."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self._look(trainer)
        self._waiting = (loss.detach().isfinite(), trainer.current_epoch, batch_index)
        if not loss.is_cuda:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Look at the epoch's last loss."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if self._waiting is None:
            return
        finite, epoch, step = self._waiting
        self._waiting = None
        if not finite:
            raise ViewfinderError(self._message(trainer, epoch, step))

    def _message(self, trainer: pl.Trainer, epoch: int, step: int) -> str:
        rate = trainer.optimizers[0].param_groups[-1]["lr"]
        kept = (
            f"The best epoch so far ({self._best.monitor} {float(self._best.best_model_score):.4f})"
            f" is kept in {self._best.best_model_path}: ++model.weights=PATH starts from it."
            if self._best.best_model_path and self._best.best_model_score is not None
            else "No epoch was finished, so nothing is kept."
        )
        return (
            f"The loss is not a finite number in epoch {epoch + 1}, step {step + 1} of it, at the "
            f"learning rate {rate:.3g}. {kept} Try a smaller optimizer.lr, "
            "trainer.gradient_clip_val=1.0, or trainer.precision=32-true if it is lower."
        )


def out_of_memory(error: Exception) -> bool:
    """Return whether memory of the CPU or a GPU has run out."""
    return isinstance(error, torch.OutOfMemoryError) or _CPU_MEMORY in str(error)


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Turn a network that ``torch.compile`` can't take into a ``ViewfinderError``."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        yield
    except TorchDynamoException as error:
        lacking = isinstance(getattr(error, "inner_exception", None), InvalidCxxCompiler)
        mend = (
            "Install a C++ compiler (g++ or clang++, or CXX names one), or set"
            if lacking
            else "Set"
        )
        raise ViewfinderError(
            f"The network can't be compiled: {_compilation_error(str(error))}. {mend} "
            "training.compile=false."
        ) from error


def _compilation_error(text: str) -> str:
    """Return what went wrong, and what the compiler said at last if it said anything."""
    text, _, _ = text.partition(_ADVICE_OF_DYNAMO)
    summary, _, output = text.partition(_COMPILER_OUTPUT)
    first, _, _ = summary.strip().partition("\n\n")
    said = output.strip().splitlines()[-_COMPILER_LINES:]
    return "\n".join([" ".join(first.split()), *said]).rstrip(".")


@contextmanager
def memory_errors(batch_size: int, size: tuple[int, int]) -> Iterator[None]:
    """Turn running out of memory inside the block into a ``ViewfinderError`` with the mends.

    Args:
        batch_size: Images a batch.
        size: Height and width of the images, pixels.
    """
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        half = max(batch_size // 2, 1)
        smaller = [max(side // 64 * 32, 32) for side in size]
        reason = str(error).strip().splitlines()[0]
        raise ViewfinderError(
            f"Out of memory {'on the GPU' if on_gpu else 'on the CPU'} with "
            f"loader.batch_size={batch_size} images of image.size={list(size)}: {reason}\n"
            f"Try loader.batch_size={half} trainer.accumulate_grad_batches=2 (the same training), "
            f"image.size=[{smaller[0]},{smaller[1]}], or a smaller network"
            f"{', or trainer.precision=bf16-mixed' if on_gpu else ''}. "
            "training.find_batch_size=true finds what fits."
        ) from error
