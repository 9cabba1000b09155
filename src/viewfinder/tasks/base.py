"""What all tasks share: the only training and validation step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from viewfinder.data.loading.dataset import Batch
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.views import View
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.measuring import Predictions, Search, TaskMetrics
from viewfinder.tasks.mirroring import merge_mirrored
from viewfinder.tasks.optimization import build_optimizer, build_schedule
from viewfinder.tasks.parameter_groups import ParameterGroups
from viewfinder.tasks.schedule import Schedule


class VisionTask(pl.LightningModule, ABC):
    """Trains a network for one kind of task.

    A task says four things: its losses, how raw outputs become predictions, its metrics, and (as
    class attributes) what it sees of the data and which metric picks the best epoch.

    Args:
        model: Maps normalised images, float32 [B, channels, H, W], to raw outputs.
        classes: Class names.
        mean: Mean of each channel of the images, in [0, 1].
        std: Standard deviation of each channel, in [0, 1].
        optimizer: Makes the optimizer from the parameters; needed for training only.
        schedule: Learning-rate schedule; None keeps the rate constant.

    Attributes:
        groups: Which parameters learn at which share of the optimizer's rate.
        frozen: Layers that stay in evaluation mode.
        epochs: How long optimizer and schedule last; None for the whole training.
        mirrors: Whether predictions are means over an image and its mirror image.
        measured: Names of the buffers that are set from validation data.
        divisible: Whether raw outputs are tensors with an image a row, and nothing else.
    """

    name: ClassVar[str]
    view: ClassVar[type[View]]
    monitor: ClassVar[str]
    mode: ClassVar[Literal["min", "max"]] = "max"
    measured: ClassVar[tuple[str, ...]] = ()
    can_mirror: ClassVar[bool] = False
    divisible: ClassVar[bool] = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        optimizer: Callable[..., Optimizer] | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        self.classes = list(classes)
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.groups = ParameterGroups()
        self.frozen: list[nn.Module] = []
        self.epochs: int | None = None
        self.mirrors = False
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self._validation: TaskMetrics | None = None
        self._search: Search | None = None

    @abstractmethod
    def losses(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss by name; their sum is minimised."""

    @abstractmethod
    def decode(self, outputs: Any, size: tuple[int, int]) -> Predictions:
        """Turn raw outputs for images of ``size`` (height, width) into named predictions."""

    @abstractmethod
    def new_metrics(self) -> TaskMetrics:
        """Return fresh metrics."""

    def new_search(self) -> Search | None:
        """Return a fresh search for what validation images tell besides metrics, if anything."""
        return None

    @property
    def measured_values(self) -> dict[str, Any]:
        """The numbers that were found on validation data, by name."""
        return {name: self.get_buffer(name).tolist() for name in self.measured}

    def learn_from(self, split: SplitFile) -> None:
        """Take from the training split what the losses depend on; by default nothing."""

    def merge(self, predictions: Predictions, mirrored: Predictions, width: int) -> Predictions:
        """Return the mean of the predictions for images and their mirror images."""
        return merge_mirrored(predictions, mirrored, width)

    def mirror(self) -> None:
        """Predict the mean over each image and its mirror image from now on.

        Raises:
            ViewfinderError: If the task's predictions have no mean.
        """
        if not self.can_mirror:
            raise ViewfinderError(
                f"predict.flip can't be used for the task {self.name!r}: its predictions have no "
                "mean. Set predict.flip=false."
            )
        self.mirrors = True

    def normalize(self, images: Tensor) -> Tensor:
        """Turn uint8 images [B, channels, H, W] into the network's float32 input."""
        channels, _, width = images.shape[1:]
        pixels = images.to(torch.float32, copy=True, memory_format=torch.channels_last)
        scale, shift = (
            values.flatten().expand(channels).repeat(width)
            for values in (1 / (255 * self.std), -self.mean / self.std)
        )
        # In place and a row of pixels at a time: new memory, and loops over three channels, cost
        # several times the arithmetic.
        rows = pixels.permute(0, 2, 3, 1).flatten(2)
        torch.addcmul(shift, rows, scale, out=rows)
        return pixels

    def forward(self, images: Tensor) -> Predictions:
        """Predict for uint8 images [B, channels, H, W]."""
        pixels = self.normalize(images)
        return self.predictions(self.outputs(pixels), pixels)

    def outputs(self, pixels: Tensor) -> Any:
        """Return the network's raw outputs for normalised images, in full precision.

        Losses and boxes need it: mixed precision is for the network alone.
        """
        return tree_map(_in_full_precision, self.model(pixels))

    def predictions(self, outputs: Any, pixels: Tensor) -> Predictions:
        """Decode outputs for normalised images and, if asked to, those for their mirror images."""
        height, width = pixels.shape[-2:]
        predictions = self.decode(outputs, (height, width))
        if not self.mirrors:
            return predictions
        mirrored = self.decode(self.outputs(pixels.flip(-1)), (height, width))
        return self.merge(predictions, mirrored, width)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Predictions:
        """Predict without gradients, wherever the network lies, in evaluation mode."""
        self.eval()
        return self(images.to(self.device))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but the frozen ones."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        outputs = self.outputs(self.normalize(batch["image"]))
        return self._log_losses("train", self.losses(outputs, batch), batch)

    def on_validation_epoch_start(self) -> None:
        """Begin with fresh metrics, and search anew."""
        self._validation = self.new_metrics()
        self._search = self.new_search()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Take a batch into the losses and metrics."""
        images = batch["image"]
        outputs = self.outputs(self.normalize(images))
        self._log_losses("val", self.losses(outputs, batch), batch)
        assert self._validation is not None
        predictions = self.decode(outputs, images.shape[-2:])
        self._validation.update(predictions, batch)
        if self._search is not None:
            self._search.update(outputs, predictions, batch)

    def on_validation_epoch_end(self) -> None:
        """Keep what was found, and log the metrics."""
        assert self._validation is not None
        if self._search is not None:
            for name, found in self._search.find().items():
                self.get_buffer(name).copy_(found)
        for name, value in self._validation.compute().items():
            self.log(f"val/{name}", value, prog_bar=f"val/{name}" == self.monitor)

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule for Lightning."""
        if self.make_optimizer is None:
            raise ValueError("this task was built without an optimizer: it can predict, not train")
        optimizer = build_optimizer(
            self.make_optimizer, lambda: self.groups(self.model), self.trainer
        )
        if self.schedule is None:
            return optimizer
        schedule = build_schedule(
            self.schedule,
            optimizer,
            self.trainer,
            epochs=self.epochs,
            monitor=self.monitor,
            mode=self.mode,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _log_losses(self, stage: str, losses: Mapping[str, Tensor], batch: Batch) -> Tensor:
        total = torch.stack(list(losses.values())).sum()
        named = {f"{stage}/loss": total.detach()}
        if len(losses) > 1:
            named |= {f"{stage}/loss_{name}": value.detach() for name, value in losses.items()}
        self.log_dict(
            named,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch["id"]),
            sync_dist=self.trainer.world_size > 1,
        )
        return total


def _in_full_precision(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
