"""How often training images show each class, and which classes are rare."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.report.reading import read_report

_UNEQUAL = 2.0
_NAMES = ("rare", "medium", "frequent")


def training_images(dataset: str, project: Path, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return how many training images show each class of a task, int64 [C].

    Args:
        dataset: Name of the data set, whose report has counted them.
        project: The checkout.
        classes: Class names of the task; where its background is no class of the data set, that
            counts as shown by every image.

    Raises:
        ViewfinderError: If the data set was not split yet.
    """
    counted = read_report(dataset, project)["splits"]["train"]
    shown = {BACKGROUND: counted["images"]} | counted["images_by_class"]
    return np.array([shown[name] for name in classes], np.int64)


def by_frequency(counts: NDArray[np.int64], classes: Sequence[str]) -> dict[str, list[int]]:
    """Divide classes into rare, medium and frequent ones.

    Args:
        counts: Training images of each class, [C].
        classes: Class names; a background is left out.

    Returns:
        Classes by a name with the numbers of training images. Empty where the most frequent class
        has less than twice the images of the rarest one, since none is rare then.
    """
    labels = [label for label, name in enumerate(classes) if name != BACKGROUND]
    ordered = sorted(labels, key=lambda label: int(counts[label]))
    if len(ordered) < 2 or counts[ordered[-1]] < _UNEQUAL * max(int(counts[ordered[0]]), 1):
        return {}
    names = _NAMES if len(ordered) > 2 else (_NAMES[0], _NAMES[-1])
    parts = np.array_split(np.array(ordered), len(names))
    return {
        f"{name} ({_range(counts[part])} training images)": sorted(part.tolist())
        for name, part in zip(names, parts, strict=True)
    }


def _range(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
