"""Labels of whole images that may be wrong.

Probabilities have to be out of sample, as those of test images are.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.confident_learning import label_issues
from viewfinder.evaluation.analysis.suspect import Suspect
from viewfinder.evaluation.ranking_curves import Scored


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
        for row in label_issues(labels, probabilities)
    ]


def suspects_of_several(scored: Callable[[int], Scored], classes: Sequence[str]) -> list[Suspect]:
    """Return suspected decisions where an image has any number of classes, in the same way.

    Args:
        scored: Returns of a class which images are given as showing it, and its probabilities.
        classes: Class names.
    """
    suspects = []
    for label, name in enumerate(classes):
        given, shares = scored(label)
        if given.all() or not given.any():
            continue
        both, said = np.stack([1 - shares, shares], axis=1), (f"no {name}", name)
        labelled = given.astype(np.int64)
        suspects += [
            Suspect(
                row, said[labelled[row]], said[1 - labelled[row]], float(both[row, labelled[row]])
            )
            for row in label_issues(labelled, both)
        ]
    return sorted(suspects, key=lambda item: item.quality)
