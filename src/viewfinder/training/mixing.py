"""MixUp and CutMix: images and labels of a batch, blended."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torchvision.transforms import v2

from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask

_TARGETS = {"classification": "label", "multilabel": "labels"}


class Mixing(Callback):
    """Blends each training batch with MixUp, CutMix, or by chance one of the two.

    Sources: H. Zhang et al., mixup, ICLR 2018; S. Yun et al., CutMix, ICCV 2019.

    Args:
        task: The task that will be trained.
        mixup: Alpha of MixUp's Beta distribution; None leaves it out.
        cutmix: The same for CutMix.

    Raises:
        ViewfinderError: If the task's targets can't be blended.
    """

    def __init__(self, task: VisionTask, *, mixup: float | None, cutmix: float | None) -> None:
        if task.name not in _TARGETS:
            raise ViewfinderError(
                f"training.mixup and training.cutmix can't be used for the task {task.name!r}: its "
                f"targets can't be blended. They serve {' and '.join(_TARGETS)}; set them to null."
            )
        self._target = _TARGETS[task.name]
        count = len(task.classes)
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self._mixes = [kind(alpha=alpha, num_classes=count) for kind, alpha in kinds if alpha]

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: dict[str, Any], index: int
    ) -> None:
        """Put blended ``image``, float32 in [0, 255], and class shares [B, C] into the batch."""
        mix = self._mixes[int(torch.randint(len(self._mixes), ()))]
        images, targets = mix(batch["image"].float(), batch[self._target])
        batch |= {"image": images, self._target: targets}
