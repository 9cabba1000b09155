"""Which number of a network's output a heatmap explains, for each task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputTarget,
    SemanticSegmentationTarget,
)
from torch import Tensor, nn

from viewfinder.data.loading.views import BACKGROUND
from viewfinder.errors import ViewfinderError
from viewfinder.models.region_detector import RegionDetector
from viewfinder.tasks import (
    Classification,
    Detection,
    InstanceSegmentation,
    Localization,
    MultilabelClassification,
    SemanticSegmentation,
    VisionTask,
)
from viewfinder.tasks.temperature import Calibrated


class ClassScores(nn.Module):
    """A task's network with nothing but its class scores as output.

    Class logits [B, C] of classifiers and localizers, [B, C, H, W] of segmentation, and the
    scores of all candidate boxes, [B, A, C] in [0, 1], of detectors.

    Args:
        task: The task.

    Attributes:
        region: The only candidate of a detector with two stages, left, top, right, bottom in
            pixels, [4]; None for all that it proposes itself, which change with the image.

    Raises:
        ViewfinderError: If the task has no class scores.
    """

    def __init__(self, task: VisionTask) -> None:
        super().__init__()
        self.network = task.model
        self.region: Tensor | None = None
        self._read = _reader(task)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised images [B, channels, H, W] to class scores."""
        return self.read(self.network(pixels))

    def read(self, outputs: Any) -> Tensor:
        """Take the class scores from what the network gave."""
        if self.region is not None and isinstance(self.network, RegionDetector):
            return self.network.scores_of_region(outputs, self.region)
        return self._read(outputs)


@dataclass(frozen=True)
class Target:
    """What is explained.

    Attributes:
        label: The class.
        score: How sure the network is, in [0, 1]; the share of the area for segmentation.
        unit: What the score is, behind it.
        value: Picks the number of the class scores of one image.
        mask: The pixels of the class as predicted, bool [H, W], for segmentation.
    """

    label: int
    score: float
    unit: str
    value: Callable[[Tensor], Tensor]
    mask: Tensor | None = None


def find_target(task: VisionTask, scores: ClassScores, pixels: Tensor) -> Target:
    """Choose what to explain for one image: its best class, its best detection, its largest class.

    Of a detector with two stages ``scores`` judges nothing but the region of that detection from
    here on: of all proposals the best one is another object as soon as this one is covered.

    Args:
        task: The task.
        scores: Its class scores.
        pixels: The normalised image, [1, channels, H, W].
    """
    with torch.no_grad():
        outputs = scores.network(pixels)
        found = scores.read(outputs)[0]
    if isinstance(task, SemanticSegmentation):
        return _largest_class(found, task.classes)
    if isinstance(task, Detection | InstanceSegmentation):
        place, label = divmod(int(found.argmax()), found.shape[-1])
        score = float(found[place, label])
        if isinstance(scores.network, RegionDetector):
            scores.region, place = scores.network.proposed(outputs)[0, place], 0
        return Target(label, score, "", lambda values: values[place, label])
    label = int(found.argmax())
    if isinstance(task, Calibrated):
        probabilities = task.probabilities(found[None])[0]
    else:
        probabilities = found.sigmoid()
    return Target(label, float(probabilities[label]), "", ClassifierOutputTarget(label))


def _reader(task: VisionTask) -> Callable[[Any], Tensor]:
    network: Any = task.model
    if isinstance(task, Localization):
        return lambda outputs: outputs.logits
    if isinstance(task, Detection | InstanceSegmentation):
        return lambda outputs: network.scores(outputs)
    if isinstance(task, Classification | MultilabelClassification | SemanticSegmentation):
        return lambda outputs: outputs
    raise ViewfinderError(
        f"The task {task.name!r} has no class scores that a heatmap could explain. There are "
        "heatmaps for classification, multilabel, localization, detection, instances and "
        "segmentation."
    )


def _largest_class(logits: Tensor, classes: list[str]) -> Target:
    """Choose the class with the largest area, the background only where there is nothing else."""
    found = logits.argmax(dim=0)
    areas = torch.bincount(found.flatten(), minlength=len(classes)).float()
    foreground = torch.tensor([name != BACKGROUND for name in classes], device=areas.device)
    solid = areas * foreground
    label = int((solid if solid.any() else areas).argmax())
    mask = (found == label).cpu()
    value = SemanticSegmentationTarget(label, mask.numpy())
    return Target(label, float(mask.float().mean()), " of the area", value, mask)
