"""The same validation images in the course of a training."""

import io
import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.describe import describe
from viewfinder.evaluation.gallery import example_png
from viewfinder.evaluation.predictions.rows import predictions_of, rows_of
from viewfinder.tasks import VisionTask
from viewfinder.tasks.thresholds import UNDECIDED

_MOMENTS = 8


class EpochPictures(Callback):
    """Draws what the network says of a few images, at up to eight epochs and the last one.

    Args:
        batch: The images.
        log: Takes a picture, the image's number and the epoch, both from 1.
    """

    def __init__(self, batch: Batch, log: Callable[[Image.Image, int, int], None]) -> None:
        self._batch = batch
        self._log = log
        self._outputs: Any = None

    @torch.inference_mode()
    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Run the network while the weights that are validated, perhaps averaged, are in place."""
        assert isinstance(module, VisionTask)
        self._outputs = None
        if trainer.is_global_zero and not _is_divided(trainer) and _is_due(trainer):
            images = self._batch["image"].to(module.device)
            self._outputs = module.model(module.normalize(images))

    @torch.inference_mode()
    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw, now that the validation has found what decisions depend on, such as thresholds."""
        assert isinstance(module, VisionTask)
        if self._outputs is None:
            return
        height, width = self._batch["image"].shape[-2:]
        decoded = module.decode(self._outputs, (height, width))
        rows = rows_of(
            module.name, {name: found.cpu() for name, found in decoded.items()}, self._batch
        )
        undecided = [UNDECIDED] * len(module.classes)
        thresholds = module.measured_values.get("thresholds") or undecided
        found = predictions_of(module.name, rows, thresholds)
        examples = describe(module.name, found, self._batch, module.classes, thresholds)
        for number, example in enumerate(examples, 1):
            picture = Image.open(io.BytesIO(example_png(example, module.classes)))
            self._log(picture, number, trainer.current_epoch + 1)


def _is_due(trainer: pl.Trainer) -> bool:
    epochs, last = trainer.current_epoch + 1, trainer.max_epochs or 1
    return epochs == last or epochs % math.ceil(last / _MOMENTS) == 0


def _is_divided(trainer: pl.Trainer) -> bool:
    """Tell whether the network lies in parts in several processes; none can run it alone."""
    return isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy)
