"""What tasks measure on validation data, and what they measure it with."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from viewfinder.data.loading.dataset import Batch

Predictions = dict[str, Tensor]


class TaskMetrics(ABC):
    """Metrics that gather predictions and are computed once over all of them."""

    @abstractmethod
    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in the predictions for one batch."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return every metric by name."""


class Search(ABC):
    """Finds values of a task's buffers, from one validation over all processes."""

    @abstractmethod
    def update(self, outputs: Any, predictions: Predictions, batch: Batch) -> None:
        """Take in the raw outputs for a batch, and what they were decoded to."""

    @abstractmethod
    def find(self) -> dict[str, Tensor]:
        """Return the value of each buffer by its name."""
