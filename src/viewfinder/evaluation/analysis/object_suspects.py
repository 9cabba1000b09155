"""Objects whose annotation may be missing or of another class.

The scores of boxes are those of ObjectLab (U. Tkachenko, A. Thyagarajan, J. Mueller, "ObjectLab:
Automated Diagnosis of Mislabeled Images in Object Detection Data", 2023) by cleanlab, and so is the
rule which of them are suspected. It takes scores for probabilities, which those of detectors are
not: each is replaced by the share of detections with about this score that are right. Only
detections that are right 95 times of 100 speak against a class, or for an object without
annotation, and the average precision that the rule depends on is that of the class they tell (for
ObjectLab that of the annotation, so that labels of a poorly known class are never suspected).
ObjectLab's third score, of poorly placed boxes, is not used: where objects of one class
lie side by side, a poor detection of one brings the other under suspicion.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from torchvision.ops import box_iou

from viewfinder.evaluation.analysis.object_mistakes import ObjectMistakes
from viewfinder.evaluation.analysis.suspect import Suspect
from viewfinder.evaluation.measures.error_types import Judged
from viewfinder.evaluation.predictions.file import PredictionsFile

_SURE = 0.95
_OVERLAP_SHARE = 0.9  # of the similarity; the rest is the distance of the centres
_FALL = 0.1  # of that part, for each pixel
# ObjectLab suspects a score below this share of the class's average precision.
_CUT = 0.25 * 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Image:
    """One image's annotations and the detections that count, as cleanlab takes them.

    ``true`` and ``found`` are their numbers among all of the image's.
    """

    row: int
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    inputs: dict[str, Any]


def object_suspects(
    predictions: PredictionsFile, mistakes: ObjectMistakes, precision: Sequence[float]
) -> list[Suspect]:
    """Return suspected annotations, the most suspicious first.

    Args:
        predictions: The predictions of a detector.
        mistakes: Its mistakes.
        precision: Average precision of each class, over IoU 0.5 to 0.95, [C].
    """
    images = list(_images(predictions, mistakes))
    nonzero = [
        found[found > 0] for found in (image.inputs["similarity_matrix"] for image in images)
    ]
    least = min((float(found.min()) for found in nonzero if found.size), default=1.0)
    for image in images:
        image.inputs["min_possible_similarity"] = least
    limits = _CUT * np.asarray(precision)
    suspects = [
        suspect
        for image in images
        for suspect in _suspects(image, limits, predictions.info.classes)
    ]
    return sorted(suspects, key=lambda item: item.quality)


def _suspects(image: _Image, limits: Floats, classes: Sequence[str]) -> Iterator[Suspect]:
    from cleanlab.object_detection import rank

    inputs = image.inputs
    labels, found = inputs["lab_labels"], inputs["pred_labels"]
    sure = inputs["pred_label_probs"] > _SURE
    (overlooked,) = rank.compute_overlooked_box_scores(
        auxiliary_inputs=[inputs], high_probability_threshold=_SURE
    )
    for place in np.flatnonzero(overlooked <= limits[found]).tolist():
        yield Suspect(
            image.row,
            "nothing",
            classes[found[place]],
            float(overlooked[place]),
            predicted=int(image.found[place]),
        )
    (swapped,) = rank.compute_swap_box_scores(
        auxiliary_inputs=[inputs], high_probability_threshold=_SURE, overlapping_label_check=False
    )
    for place in np.flatnonzero(swapped < 1).tolist():
        of_others = sure & (found != labels[place])
        other = int(np.where(of_others, inputs["similarity_matrix"][place], -1.0).argmax())
        if swapped[place] > limits[found[other]]:
            continue
        yield Suspect(
            image.row,
            classes[labels[place]],
            classes[found[other]],
            float(swapped[place]),
            true=int(image.true[place]),
            predicted=int(image.found[other]),
        )


def _images(predictions: PredictionsFile, mistakes: ObjectMistakes) -> Iterator[_Image]:
    shares = _shares_right(mistakes.judged)
    for number, (row, judged) in enumerate(zip(predictions.rows(), mistakes.judged, strict=True)):
        found = mistakes.told[number][[item.index for item in judged]]
        true = np.flatnonzero(~np.array(row["crowd"], np.bool_))
        yield _Image(number, true, found, _inputs(row, true, found, judged, shares[number]))


def _shares_right(every: Sequence[Sequence[Judged]]) -> list[Floats]:
    """Return for each detection of each image how many with about its score are right."""
    flat = [item for judged in every for item in judged]
    if not flat:
        return [np.zeros(0) for _ in every]
    rising = IsotonicRegression(y_min=0, y_max=1)
    shares = rising.fit_transform([item.score for item in flat], [item.hit for item in flat])
    return np.split(shares, np.cumsum([len(judged) for judged in every])[:-1])


def _inputs(
    row: Mapping[str, Any],
    true: NDArray[np.int64],
    found: NDArray[np.int64],
    judged: Sequence[Judged],
    probabilities: Floats,
) -> dict[str, Any]:
    """Return what ``cleanlab.object_detection.rank`` takes of an image.

    It would compute the similarities itself, pair by pair.
    """
    boxes, others = (
        np.array(row[name], np.float64).reshape(-1, 4)[kept]
        for name, kept in (("boxes", true), ("predicted_boxes", found))
    )
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
    centres, other_centres = ((part[:, :2] + part[:, 2:]) / 2 for part in (boxes, others))
    distances = np.linalg.norm(centres[:, None] - other_centres[None], axis=2)
    near = np.exp(-_FALL * distances)
    return {
        "pred_labels": np.array([item.label for item in judged], np.int64),
        "pred_label_probs": probabilities,
        "pred_bboxes": others,
        "lab_labels": np.array(row["labels"], np.int64)[true],
        "lab_bboxes": boxes,
        "similarity_matrix": _OVERLAP_SHARE * overlaps + (1 - _OVERLAP_SHARE) * near,
        "iou_matrix": overlaps,
    }
