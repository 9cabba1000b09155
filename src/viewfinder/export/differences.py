"""How far two sets of predictions lie apart."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from viewfinder.errors import ViewfinderError
from viewfinder.tasks import Predictions


@dataclass
class Differences:
    """Gathers the largest difference of each output over all images.

    Probabilities and scores are compared as they are, boxes as shares of the image's sides, so
    that one tolerance serves all. Padded detections are paired by class and place first, since
    rounding may swap two of nearly the same score; where it decides whether a detection passes a
    threshold at all, one of the two sides has it alone. Yes-or-no outputs are counted where they
    differ, for the same reason.

    Attributes:
        reach: How far apart two boxes may lie, as a share of the image's sides, to be taken for
            one detection.
        largest: Largest difference found in each output; detections' labels have none, since
            pairs agree in them.
        detections: Number of detections on both sides together.
        unmatched: How many of them have no counterpart on the other side.
        decisions: Number of values of yes-or-no outputs.
        flipped: How many of them differ.
    """

    reach: float
    largest: dict[str, float] = field(default_factory=dict)
    detections: int = 0
    unmatched: int = 0
    decisions: int = 0
    flipped: int = 0

    def update(self, expected: Predictions, found: Predictions, size: tuple[int, int]) -> None:
        """Take in both predictions for one batch of images.

        Args:
            expected: Named predictions, first dimension B.
            found: The others, to be like them.
            size: Height and width of the images, pixels.

        Raises:
            ViewfinderError: If the two have other outputs or shapes.
        """
        _check_alike(expected, found)
        expected, found = _relative(expected, size), _relative(found, size)
        if "scores" in expected:
            for image in range(len(expected["scores"])):
                self._pair(_detections(expected, image), _detections(found, image))
            return
        for name, tensor in expected.items():
            if tensor.dtype == torch.bool:
                self.decisions += tensor.numel()
                self.flipped += int((tensor != found[name]).sum())
            else:
                self._record(name, tensor, found[name])

    def _pair(self, expected: Predictions, found: Predictions) -> None:
        apart = (expected["boxes"][:, None] - found["boxes"][None]).abs().amax(dim=-1)
        by_score = (expected["scores"][:, None] - found["scores"][None]).abs()
        alike = (expected["labels"][:, None] == found["labels"][None]) & (apart <= self.reach)
        rows, columns = _closest_pairs(alike, apart + by_score)
        for name in (name for name in expected if name != "labels"):
            self._record(name, expected[name][rows], found[name][columns])
        detections = sum(alike.shape)
        self.detections += detections
        self.unmatched += detections - 2 * len(rows)

    def _record(self, name: str, expected: Tensor, found: Tensor) -> None:
        largest = torch.tensor(self.largest.get(name, 0.0))
        if expected.numel():
            # Unlike max(), this keeps a difference that is not a number.
            largest = largest.maximum((expected.float() - found.float()).abs().amax())
        self.largest[name] = float(largest)


def _check_alike(expected: Predictions, found: Predictions) -> None:
    shapes = [
        {name: list(tensor.shape) for name, tensor in side.items()} for side in (expected, found)
    ]
    if shapes[0] != shapes[1]:
        raise ViewfinderError(
            f"The exported model's outputs are {shapes[1]}, but the task predicts {shapes[0]}: "
            "the file belongs to another model. Export this one."
        )


def _closest_pairs(alike: Tensor, costs: Tensor) -> tuple[list[int], list[int]]:
    """Pair rows with columns where ``alike`` [R, C] allows it, from the lowest cost up."""
    candidates = alike.nonzero()
    order = costs[alike].argsort(stable=True)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in candidates[order].tolist():
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return list(pairs), list(pairs.values())


def _relative(predictions: Predictions, size: tuple[int, int]) -> Predictions:
    predictions = {name: tensor.cpu() for name, tensor in predictions.items()}
    if "boxes" in predictions:
        height, width = size
        predictions["boxes"] = predictions["boxes"] / torch.tensor([width, height, width, height])
    return predictions


def _detections(predictions: Predictions, image: int) -> Predictions:
    kept = predictions["scores"][image] > 0
    return {name: tensor[image][kept] for name, tensor in predictions.items()}
