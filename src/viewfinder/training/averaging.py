"""The moving average of the weights, which is what is validated and kept."""

from collections.abc import Sequence

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from viewfinder.tasks.base import VisionTask


class MovingAverage(WeightAveraging):
    """Keeps an exponential moving average of weights and statistics.

    The decay rises from 0.1 to its final value, so that short trainings do not hang on to their
    random start. Source: timm's ``ModelEmaV3``, after TensorFlow's ``ExponentialMovingAverage``.

    Args:
        decay: Final share of the old average in the new one.
    """

    def __init__(self, decay: float) -> None:
        def average(old: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
            seen = int(count)
            share = min(decay, (1 + seen) / (10 + seen))
            get_ema_multi_avg_fn(share)(old, new, count)  # type: ignore[no-untyped-call]

        super().__init__(multi_avg_fn=average)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take over what validation measured, before a checkpoint is written."""
        if self._average_model is None:
            return
        assert isinstance(module, VisionTask)
        averaged = dict(self._average_model.module.named_buffers())
        for name, buffer in module.named_buffers():
            if name in module.measured:
                averaged[name].copy_(buffer)
