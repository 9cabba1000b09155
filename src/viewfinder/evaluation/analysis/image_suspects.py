"""Labels of whole images that may be wrong.

Confident learning (C. Northcutt, L. Jiang, I. Chuang, JAIR 2021) by cleanlab: a label is suspected
where the probability of another class is as high as it is for images of that class. Probabilities
have to be out of sample, as those of test images are.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.suspect import Suspect

_FEW = "May not flag all label issues"


def suspects_of_one(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> list[Suspect]:
    """Return suspected labels where an image has one class, the least likely ones first.

    Args:
        labels: The given class of each image, int64 [N].
        probabilities: float32 [N, C].
        classes: Class names.
    """
    if len(np.unique(labels)) < 2:
        return []  # nothing to compare with
    found = probabilities.argmax(axis=1)
    return [
        Suspect(
            row, classes[labels[row]], classes[found[row]], float(probabilities[row, labels[row]])
        )
        for row in _issues(labels, probabilities)
    ]


def suspects_of_several(
    labels: NDArray[np.bool_], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> list[Suspect]:
    """Return suspected decisions where an image has any number of classes, in the same way.

    Args:
        labels: Which classes are given as present, bool [N, C].
        probabilities: float32 [N, C].
        classes: Class names.
    """
    suspects = []
    for name, given, shares in zip(classes, labels.T, probabilities.T, strict=True):
        if given.all() or not given.any():
            continue
        both, said = np.stack([1 - shares, shares], axis=1), (f"no {name}", name)
        labelled = given.astype(np.int64)
        suspects += [
            Suspect(
                row, said[labelled[row]], said[1 - labelled[row]], float(both[row, labelled[row]])
            )
            for row in _issues(labelled, both)
        ]
    return sorted(suspects, key=lambda item: item.quality)


def _issues(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> list[int]:
    """Return the rows whose label is suspected, the least likely label first."""
    from cleanlab.filter import find_label_issues

    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_FEW, category=UserWarning)
        found = find_label_issues(
            labels, exact, return_indices_ranked_by="self_confidence", n_jobs=1, verbose=False
        )
    wrong = exact.argmax(axis=1) != labels
    return [int(row) for row in found if wrong[row]]
