"""Which given classes confident learning does not believe.

Confident learning (C. Northcutt, L. Jiang, I. Chuang, JAIR 2021) by cleanlab: a label is suspected
where the probability of another class is as high as it is for images of that class. cleanlab takes
several copies of all probabilities; but once the threshold of each class is known, and how many of
its images are taken for which other class, it looks at the images of each given class alone. So it
gets some classes at a time, and finds what it would find in all of them.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_FEW = "May not flag all label issues"
_VALUES_AT_ONCE = 2**17

Labels = NDArray[np.int64]
Probabilities = NDArray[np.floating]
Part = tuple[list[int], Labels]


def label_issues(labels: Labels, probabilities: Probabilities) -> list[int]:
    """Return the rows whose label is suspected, the least likely label first.

    Args:
        labels: The given class of each image, at least two different ones, int64 [N].
        probabilities: [N, C].
    """
    from cleanlab.filter import find_label_issues

    joint = _confident_joint(labels, probabilities)
    suspected: list[tuple[float, int]] = []
    for _, rows in _parts(labels, probabilities.shape[1]):
        exact, own = _exact(probabilities[rows]), labels[rows]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_FEW, category=UserWarning)
            issues = find_label_issues(own, exact, confident_joint=joint, n_jobs=1)
        wrong = np.flatnonzero(issues & (exact.argmax(axis=1) != own))
        suspected += zip(exact[wrong, own[wrong]].tolist(), rows[wrong].tolist(), strict=True)
    return [row for _, row in sorted(suspected)]


def _confident_joint(labels: Labels, probabilities: Probabilities) -> NDArray[np.int64]:
    """Return how many images of a given class (row) seem to be of a class (column), [C, C]."""
    from cleanlab.count import (
        calibrate_confident_joint,
        compute_confident_joint,
        get_confident_thresholds,
    )

    count = probabilities.shape[1]
    parts = list(_parts(labels, count))
    thresholds = np.full(count, np.inf)  # a class that no label gives is never meant
    for classes, rows in parts:
        of_part = get_confident_thresholds(labels[rows], _exact(probabilities[rows]))
        thresholds[classes] = of_part[classes]
    joint = np.eye(count, dtype=np.int64)
    for classes, rows in parts:
        exact = _exact(probabilities[rows])
        of_part = compute_confident_joint(
            labels[rows], exact, thresholds=thresholds, calibrate=False
        )
        joint[classes] = of_part[classes]
    return np.asarray(calibrate_confident_joint(joint, labels))


def _parts(labels: Labels, count: int) -> Iterator[Part]:
    """Yield classes, each once and at least two together, and the rows that are labelled so."""
    sizes = np.bincount(labels, minlength=count) * count
    parts: list[list[int]] = [[]]
    for label in np.flatnonzero(sizes).tolist():
        if len(parts[-1]) > 1 and sizes[[*parts[-1], label]].sum() > _VALUES_AT_ONCE:
            parts.append([])
        parts[-1].append(label)
    if len(parts[-1]) < 2:
        last = parts.pop()
        parts[-1] += last
    for classes in parts:
        yield classes, np.flatnonzero(np.isin(labels, classes))


def _exact(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return probabilities that sum to 1 more closely than those of a table."""
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))
