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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from torchvision.ops import box_iou

from viewfinder.evaluation.analysis.object_mistakes import ObjectMistakes
from viewfinder.evaluation.analysis.suspect import Suspect
from viewfinder.evaluation.measures.error_types import NONE, Judged
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.file import PredictionsFile

_SURE = 0.95
_OVERLAP_SHARE = 0.9  # of the similarity; the rest is the distance of the centres
_FALL = 0.1  # of that part, for each pixel
# ObjectLab suspects a score below this share of the class's average precision.
_CUT = 0.25 * 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Image:
    """One image's annotations and the detections that count.

    Attributes:
        row: Its row.
        labels: Class of each annotation, int64 [G].
        boxes: [G, 4].
        true: Numbers of the annotations among all of the image's, int64 [G].
        judged: The detections, [D].
        found_boxes: [D, 4].
    """

    row: int
    labels: NDArray[np.int64]
    boxes: Floats
    true: NDArray[np.int64]
    judged: Judged
    found_boxes: Floats

    def overlaps(self) -> Floats:
        """Return the IoU of annotations with detections, [G, D]."""
        boxes, found = torch.from_numpy(self.boxes), torch.from_numpy(self.found_boxes)
        return np.asarray(box_iou(boxes, found))

    def similarities(self, overlaps: Floats) -> Floats:
        """Return ObjectLab's similarity of annotations with detections, [G, D].

        Args:
            overlaps: Their IoU, [G, D].
        """
        centres, found = _centres(self.boxes), _centres(self.found_boxes)
        distances = np.linalg.norm(centres[:, None] - found[None], axis=2)
        near = np.exp(-_FALL * distances)
        return np.asarray(_OVERLAP_SHARE * overlaps + (1 - _OVERLAP_SHARE) * near)


def object_suspects(
    predictions: PredictionsFile, mistakes: ObjectMistakes, precision: Sequence[float]
) -> list[Suspect]:
    """Return suspected annotations, the most suspicious first.

    Args:
        predictions: The predictions of a detector.
        mistakes: Its mistakes.
        precision: Average precision of each class, over IoU 0.5 to 0.95, [C].
    """
    rising = _shares_right(mistakes.judged)
    least = _least_similarity(predictions, mistakes)
    limits = _CUT * np.asarray(precision)
    suspects = [
        suspect
        for image in _images(predictions, mistakes)
        for suspect in _suspects(_inputs(image, rising, least), image, limits, predictions.info)
    ]
    return sorted(suspects, key=lambda item: item.quality)


def _suspects(
    inputs: dict[str, Any], image: _Image, limits: Floats, info: PredictionsInfo
) -> Iterator[Suspect]:
    from cleanlab.object_detection import rank

    classes = info.classes
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
            predicted=int(image.judged["index"][place]),
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
            predicted=int(image.judged["index"][other]),
        )


def _images(predictions: PredictionsFile, mistakes: ObjectMistakes) -> Iterator[_Image]:
    for number, row in enumerate(predictions.rows(["crowd", "labels", "boxes", "predicted_boxes"])):
        judged = mistakes.of_image(number)
        true = np.flatnonzero(~np.array(row["crowd"], np.bool_))
        yield _Image(
            row=number,
            labels=np.array(row["labels"], np.int64)[true],
            boxes=_boxes(row["boxes"])[true],
            true=true,
            judged=judged,
            found_boxes=_boxes(row["predicted_boxes"])[judged["index"]],
        )


def _centres(boxes: Floats) -> Floats:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _boxes(corners: Sequence[Sequence[float]]) -> Floats:
    return np.array(corners, np.float64).reshape(-1, 4)


def _shares_right(judged: Judged) -> IsotonicRegression | None:
    """Return what tells how many detections with about a score are right; None without any."""
    if not len(judged):
        return None
    rising = IsotonicRegression(y_min=0, y_max=1)
    # In float32, scores that are near to each other would be taken for one.
    return rising.fit(judged["score"].astype(np.float64), judged["error"] == NONE)


def _least_similarity(predictions: PredictionsFile, mistakes: ObjectMistakes) -> float:
    """Return the least similarity above 0 of any annotation with any detection; 1 without any."""
    least = 1.0
    for image in _images(predictions, mistakes):
        similarities = image.similarities(image.overlaps())
        least = similarities[similarities > 0].min(initial=least)
    return float(least)


def _inputs(image: _Image, rising: IsotonicRegression | None, least: float) -> dict[str, Any]:
    """Return what ``cleanlab.object_detection.rank`` takes of an image.

    It would compute the similarities itself, pair by pair.

    Args:
        image: The image.
        rising: Turns scores into the share of detections that are right.
        least: The least similarity above 0 in any image.
    """
    overlaps, scores = image.overlaps(), image.judged["score"].astype(np.float64)
    shares = rising.transform(scores) if rising is not None and len(scores) else np.zeros(0)
    return {
        "pred_labels": image.judged["label"].astype(np.int64),
        "pred_label_probs": np.asarray(shares, np.float64),
        "pred_bboxes": image.found_boxes,
        "lab_labels": image.labels,
        "lab_bboxes": image.boxes,
        "similarity_matrix": image.similarities(overlaps),
        "iou_matrix": overlaps,
        "min_possible_similarity": least,
    }
