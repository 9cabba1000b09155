"""From which score on a class counts as there: thresholds with the largest F1."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from viewfinder.data.loading.dataset import Batch
from viewfinder.tasks.matching import EVERY_SIZE, IOU_50, ImageObjects, match
from viewfinder.tasks.measuring import Predictions, Search

UNDECIDED = 0.5


def best_threshold(scores: Tensor, hits: Tensor, objects: int) -> float:
    """Return the threshold of the largest F1; ``UNDECIDED`` where every F1 is 0.

    It lies midway between the last score above it and the first one below; where no number lies
    between them, it is the former.

    Args:
        scores: Of what may be told, [N].
        hits: Whether it is right, [N].
        objects: How many there are to be found.
    """
    if not hits.any():
        return UNDECIDED
    ranked, order = scores.sort(descending=True)
    told = torch.arange(1, len(ranked) + 1)
    f1 = 2 * hits[order].cumsum(dim=0) / (told + objects)
    below = torch.cat([ranked[1:], torch.zeros_like(ranked[:1])])
    best = f1.where(ranked > below, -1.0).argmax()  # a threshold can't part equal scores
    middle = (ranked[best] + below[best]) / 2
    return float(middle if middle > below[best] else ranked[best])


def told(predictions: Predictions, thresholds: Tensor | Sequence[float]) -> Predictions:
    """Leave out the detections below their class's threshold.

    Args:
        predictions: Padded detections with ``scores`` and ``labels`` [..., K].
        thresholds: Of each class, [C].

    Returns:
        The same, with a score of 0, as padding has it, for those left out.
    """
    scores = predictions["scores"]
    least = torch.as_tensor(thresholds, device=scores.device)[predictions["labels"]]
    return {**predictions, "scores": scores.where(scores >= least, 0.0)}


def told_places(
    labels: NDArray[np.int64], scores: NDArray[np.float64], thresholds: Sequence[float]
) -> NDArray[np.int64]:
    """Return the places of the detections that are told, int64.

    Args:
        labels: Class of each detection, [D].
        scores: Its score, [D].
        thresholds: Of each class, [C].
    """
    return np.flatnonzero(scores >= np.asarray(thresholds)[labels])


class _Matched(Metric):
    """Keeps the score, class and success of all detections that count, over all processes."""

    scores: list[Tensor]
    labels: list[Tensor]
    hits: list[Tensor]
    objects: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        for name in ("scores", "labels", "hits"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.add_state("objects", torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, image: ImageObjects) -> None:
        """Take in the objects and detections of an image."""
        self.objects += torch.from_numpy(
            np.bincount(image.labels[~image.crowd], minlength=len(self.objects))
        )
        # Most classes found in an image are wrong altogether, which takes no matching to see.
        alone = ~np.isin(image.found_labels, image.labels)
        scores, labels = [image.scores[alone]], [image.found_labels[alone]]
        hits = [np.zeros(int(alone.sum()), np.int64)]
        for label in np.intersect1d(image.found_labels, image.labels):
            found = match(image, label, EVERY_SIZE)
            counted = ~found.ignored[IOU_50]
            scores.append(found.scores[counted])
            labels.append(np.full(int(counted.sum()), label))
            hits.append(found.hits[IOU_50][counted].astype(np.int64))
        # Also for an image without detections: every process must have something to gather.
        self.scores.append(torch.from_numpy(np.concatenate(scores)).float())
        self.labels.append(torch.from_numpy(np.concatenate(labels)))
        self.hits.append(torch.from_numpy(np.concatenate(hits)))

    def compute(self) -> Tensor:
        """Return the threshold of the largest F1 of each class, float32 [C]."""
        scores, labels, hits = (
            dim_zero_cat(part) for part in (self.scores, self.labels, self.hits)
        )
        return torch.tensor(
            [
                best_threshold(scores[labels == label], hits[labels == label], count)
                for label, count in enumerate(self.objects.tolist())
            ]
        )


class ThresholdSearch(Search):
    """Finds for each class the score with the largest F1 at IoU 0.5.

    A class of which no object is found keeps 0.5.

    Args:
        classes: Number of classes.
        compare: Returns objects and detections of each image, from predictions and their batch.
    """

    def __init__(
        self, classes: int, compare: Callable[[Predictions, Batch], list[ImageObjects]]
    ) -> None:
        self._matched = _Matched(classes)
        self._compare = compare

    def update(self, outputs: Any, predictions: Predictions, batch: Batch) -> None:
        """Take in padded detections for a batch with ``boxes`` and ``labels``."""
        for image in self._compare(predictions, batch):
            self._matched.update(image)

    def find(self) -> dict[str, Tensor]:
        """Return ``thresholds``, float32 [C]."""
        return {"thresholds": self._matched.compute()}
