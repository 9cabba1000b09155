"""Which examples are worth a picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.describe import Describe
from viewfinder.evaluation.example import Example
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.tasks import Predictions


class Gallery:
    """Keeps some examples evenly through the split, and the worst ones, and draws them.

    Args:
        describe: Makes examples of a batch.
        classes: Class names.
        total: Images in the split.
        count: Examples a picture.
        key: A line that explains the drawings.
    """

    def __init__(
        self, describe: Describe, classes: Sequence[str], *, total: int, count: int, key: str = ""
    ) -> None:
        self._describe = describe
        self._classes = classes
        self._count = count
        self._key = key
        self._positions = set(even_positions(total, count))
        self._seen = 0
        self._even: list[Example] = []
        self._worst: list[Example] = []

    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in the predictions for one batch."""
        batch_examples = list(self._describe(predictions, batch, self._classes))
        for example in batch_examples:
            if self._seen in self._positions:
                self._even.append(_detached(example))
            self._seen += 1
        ranked = sorted([*self._worst, *batch_examples], key=lambda example: example.quality)
        self._worst = [_detached(example) for example in ranked[: self._count]]

    def write(self, plots: Path, tables: Path) -> None:
        """Write ``predictions.png`` and ``worst.png``."""
        for name, heading, examples in (
            ("predictions.png", "Predictions, chosen evenly through the split", self._even),
            ("worst.png", "The worst predictions, worst first", self._worst),
        ):
            draw_gallery(plots / name, examples, self._classes, heading=heading, key=self._key)


def even_positions(total: int, count: int) -> list[int]:
    """Return ``count`` (or, if there are fewer, ``total``) positions spread from first to last."""
    positions = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    return [int(position) for position in positions]


def _detached(example: Example) -> Example:
    """Copy the pixels, so that keeping the example does not keep its whole batch."""
    return example if example.image.base is None else replace(example, image=example.image.copy())
