"""What a trained task predicts for one picture, in the picture's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from viewfinder.data.loading.picture import load_picture
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import BACKGROUND
from viewfinder.drawing.palette import class_colour
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.describe_objects import mask_outlines
from viewfinder.evaluation.example import Example, Marks
from viewfinder.evaluation.gallery import draw_gallery
from viewfinder.models.mask_rcnn import paste_masks
from viewfinder.tasks import Predictions, VisionTask
from viewfinder.tasks.thresholds import told


@dataclass(frozen=True)
class PicturePrediction:
    """What was predicted for one picture.

    Attributes:
        name: The picture's name.
        image: RGB, uint8 [H, W, 3].
        classes: Class names.
        shares: Probability of each class for the whole picture, float32 [C], if the task has any.
        told: Which classes count as there, bool [C], where there may be several.
        least: Score from which on each class's detections are told, where there are any.
        marks: Boxes and mask in the picture's pixels.
    """

    name: str
    image: NDArray[np.uint8]
    classes: Sequence[str]
    shares: NDArray[np.float32] | None
    told: NDArray[np.bool_] | None
    least: Sequence[float] | None
    marks: Marks

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """The class of each pixel, uint8 [H, W], if the task predicts it."""
        return self.marks.mask

    def lines(self, top: int) -> list[str]:
        """Say it in words: the ``top`` likeliest classes, boxes, or classes by area.

        Where there may be several classes, those that count as there are named all, and marked.
        """
        if self.mask is not None:
            return self._areas()
        found = [] if self.shares is None else self._likeliest(self.shares, top)
        if self.least is not None and not len(self.marks.boxes):
            return [_nothing(min(self.least), max(self.least))]
        for box, label, score in zip(
            self.marks.boxes, self.marks.labels, self.marks.scores, strict=True
        ):
            corners = ", ".join(f"{side:.0f}" for side in box)
            found.append(f"{_line(float(score), self.classes[label])}  box [{corners}]")
        return found

    def draw(self, path: Path) -> None:
        """Draw it as a PNG file."""
        caption = "" if self.shares is None else self.lines(1)[0].strip()
        example = Example(self.name, self.image, Marks(), self.marks, caption, quality=0.0)
        draw_gallery(path, [example], self.classes, heading="Prediction")

    def write_mask(self, path: Path) -> None:
        """Write the mask as a PNG file of class indices, in the classes' colours."""
        assert self.mask is not None
        picture = Image.fromarray(self.mask).convert("P")
        colours = [to_rgb(class_colour(label)) for label in range(len(self.classes))]
        picture.putpalette([round(255 * part) for colour in colours for part in colour])
        picture.save(path, "PNG")

    def _likeliest(self, shares: NDArray[np.float32], top: int) -> list[str]:
        order = shares.argsort()[::-1]
        if self.told is None:
            return [_line(float(shares[label]), self.classes[label]) for label in order[:top]]
        return [
            _line(float(shares[label]), self.classes[label]) + ("  ✓" if self.told[label] else "")
            for place, label in enumerate(order)
            if place < top or self.told[label]
        ]

    def _areas(self) -> list[str]:
        assert self.mask is not None
        counts = np.bincount(self.mask.ravel(), minlength=len(self.classes))
        order = counts.argsort()[::-1]
        return [
            f"{_line(counts[label] / self.mask.size, self.classes[label])} of the area"
            for label in order
            if counts[label] and self.classes[label] != BACKGROUND
        ]


def predict_picture(
    task: VisionTask, transform: Transform, path: Path, threshold: float | None = None
) -> PicturePrediction:
    """Predict for one picture.

    Args:
        task: The trained task.
        transform: What brings a picture to the size that it was trained on.
        path: The picture's file.
        threshold: From which probability or score on a class is told; None for the task's own
            threshold of each class.

    Raises:
        ViewfinderError: If it can't be decoded, or the task knows no thresholds but one is given.
    """
    least = _thresholds(task, threshold)
    image, pixels = load_picture(path, transform)
    found = {name: value[0].cpu() for name, value in task.predict(pixels[None]).items()}
    shares, chosen, scored = None, None, None
    if "probabilities" in found and found["probabilities"].ndim == 1:
        shares = found["probabilities"].numpy()
        chosen = None if least is None else (found["probabilities"] >= least).numpy()
    elif least is not None:
        found, scored = told(found, least), least.tolist()
    return PicturePrediction(
        name=path.name,
        image=image,
        classes=task.classes,
        shares=shares,
        told=chosen,
        least=scored,
        marks=_marks(found, image.shape[:2], transform.size),
    )


def _thresholds(task: VisionTask, threshold: float | None) -> Tensor | None:
    """Return the threshold of each class, [C]; None where there are none."""
    if "thresholds" not in task.measured:
        if threshold is None:
            return None
        raise ViewfinderError(
            f"--threshold serves detection, instances and multilabel; the task {task.name!r} tells "
            "one class for each image or pixel. Leave it out."
        )
    own = task.get_buffer("thresholds").cpu()
    return own if threshold is None else torch.full_like(own, threshold)


def _marks(found: Predictions, size: tuple[int, ...], seen: tuple[int, int]) -> Marks:
    """Bring boxes and masks from the size that the network saw to the picture's own."""
    height, width = size
    if "boxes" not in found:
        probabilities = found["probabilities"]
        if probabilities.ndim == 1:
            return Marks()
        mask = probabilities.argmax(dim=0).numpy().astype(np.uint8)
        grown = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        return Marks(mask=np.asarray(grown, np.uint8))
    scale = torch.tensor([width / seen[1], height / seen[0]] * 2)
    boxes = (found["boxes"] * scale).reshape(-1, 4)
    if "scores" not in found:
        score, label = found["probabilities"].max(dim=0)
        return Marks(boxes.numpy(), label[None].numpy(), score[None].numpy())
    shown = found["scores"] > 0
    labels, scores = found["labels"][shown], found["scores"][shown]
    outlines = None
    if "masks" in found:
        pasted = paste_masks(found["masks"][shown], boxes[shown], (height, width))
        outlines = mask_outlines(pasted)
    return Marks(boxes[shown].numpy(), labels.numpy(), scores.numpy(), outlines=outlines)


def _nothing(low: float, high: float) -> str:
    if low == high:
        return f"nothing with a score of {low:.0%} or more"
    return f"nothing reaches its class's threshold, {low:.0%} to {high:.0%}"


def _line(share: float, name: str) -> str:
    return f"{100 * share:6.2f} %  {name}"
