"""Temperature scaling: probabilities that mean what they say.

C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: logits are divided by one
number, the temperature with the smallest cross-entropy on validation images.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from torch import Tensor
from torchmetrics import Metric

from viewfinder.data.loading.dataset import Batch
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.measuring import Predictions, Search

LEAST, MOST = 0.05, 20.0
_TRIED = 41


class _Slopes(Metric):
    """Sums, over all images and processes, that tell how cross-entropy changes with temperature.

    Validation sets of any size take as much memory as one image.
    """

    expected: Tensor
    lead: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inverses = np.geomspace(1 / MOST, 1 / LEAST, _TRIED)
        sums = {"expected": torch.zeros(_TRIED), "lead": torch.zeros(()), "images": torch.zeros(())}
        for name, zeros in sums.items():
            self.add_state(name, default=zeros.double(), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Take in logits [B, C] of images with ``labels`` [B]."""
        logits = logits.detach()
        behind = logits - logits.gather(1, labels[:, None])
        sums = [
            ((behind * float(inverse)).softmax(dim=1) * behind).sum() for inverse in self.inverses
        ]
        self.expected += torch.stack(sums).cpu()
        others = max(logits.shape[1] - 1, 1)
        self.lead -= behind.sum().cpu() / others
        self.images += len(logits)

    def compute(self) -> NDArray[np.float64]:
        """Return the derivative of the cross-entropy at each inverse temperature."""
        doubt = 1 / (self.images + 2)  # that an image has its class; see ``TemperatureSearch``
        slopes: NDArray[np.float64] = (self.expected + doubt * self.lead).numpy()
        return slopes


class TemperatureSearch(Search):
    """Finds the temperature with the smallest cross-entropy, between 0.05 and 20.

    Where every validation image is right, no temperature would be small enough. So each true class
    counts as true with (N + 1) / (N + 2), N being the number of images, as in J. Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999; the rest is spread over the others.
    The cross-entropy is convex in the inverse temperature: its derivative has one zero.

    Args:
        logits: Reads the logits [B, C] from raw outputs.
    """

    def __init__(self, logits: Callable[[Any], Tensor]) -> None:
        self._logits = logits
        self._slopes = _Slopes()

    def update(self, outputs: Any, predictions: Predictions, batch: Batch) -> None:
        """Take in the raw outputs for a batch with ``label`` [B]."""
        self._slopes.update(self._logits(outputs), batch["label"])

    def find(self) -> dict[str, Tensor]:
        """Return ``temperature``; 1 where the images say nothing."""
        return {"temperature": torch.tensor(self._temperature(self._slopes.compute()))}

    def _temperature(self, slopes: NDArray[np.float64]) -> float:
        if not np.isfinite(slopes).all() or not slopes.any():
            return 1.0
        if slopes[0] >= 0:
            return MOST
        if slopes[-1] <= 0:
            return LEAST
        places = np.log(self._slopes.inverses)
        after = int(np.argmax(slopes >= 0))
        zero = brentq(PchipInterpolator(places, slopes), places[after - 1], places[after])
        return float(np.exp(-zero))


class Calibrated(VisionTask):
    """A task with one class an image, whose probabilities are scaled by a temperature.

    Each validation finds the temperature anew; that of the best epoch stays with its weights.
    Losses and validation metrics are those of the unscaled outputs.
    """

    measured: ClassVar[tuple[str, ...]] = ("temperature",)
    temperature: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register_buffer("temperature", torch.ones(()))

    @abstractmethod
    def logits(self, outputs: Any) -> Tensor:
        """Return the class logits [B, C] of raw outputs."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each class, float32 [B, C], for logits [B, C]."""
        return (logits / self.temperature).softmax(dim=1)

    def on_validation_epoch_start(self) -> None:
        """Begin unscaled, so that the metrics don't depend on an earlier epoch's temperature."""
        self.temperature.fill_(1.0)
        super().on_validation_epoch_start()

    def new_search(self) -> Search:
        """Return a fresh search for the temperature."""
        return TemperatureSearch(self.logits)
