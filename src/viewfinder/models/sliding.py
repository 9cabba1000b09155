"""A classifier-localizer for small windows that slides over images of any size.

Source: P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus, Y. LeCun, OverFeat: Integrated
Recognition, Localization and Detection using Convolutional Networks, ICLR 2014.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from viewfinder.errors import ViewfinderError
from viewfinder.models.convolutional import Convolutional
from viewfinder.models.dense import DenseDetector
from viewfinder.models.layers import Layer, LayerNetwork

_NUMBERS_A_BOX = 5


class WindowOutputs(NamedTuple):
    """What the network says of S windows, row by row.

    Attributes:
        class_logits: [B, S, C].
        confidence_logits: Whether there is an object in the middle of the window, [B, S].
        box_logits: Logits of centre, width and height as shares of the window, [B, S, 4].
        corners: Left and top of each window in pixels, [S, 2].
    """

    class_logits: Tensor
    confidence_logits: Tensor
    box_logits: Tensor
    corners: Tensor

    @property
    def level_sizes(self) -> list[int]:
        """Number of windows, which all belong to one level."""
        return [len(self.corners)]


class SlidingDetector(DenseDetector):
    """A network for windows, its dense layers turned into convolutions.

    It learns from images as large as one window, or from larger ones window by window. A window
    answers for the object whose centre lies near its own; the others say that there is none.

    Args:
        num_classes: Number of classes.
        layers: The layers from a window to its numbers, see ``LayerNetwork``; in the last one
            ``classes`` stands for the classes and five numbers more. Without padding a window's
            numbers are the same in any image.
        window: Height and width of a window, pixels.
        in_channels: Channels of the images.
        reach: Largest distance, along each axis, of an object's centre from that of the window
            that answers for it, pixels.
        confidence_weight: Weight of the loss that tells windows with objects from those without.
        overlap_weight: Weight of the boxes' generalized IoU loss.
        options: See ``DenseDetector``.

    Raises:
        ViewfinderError: If the layers can't be turned into convolutions.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        layers: Sequence[Layer],
        window: Sequence[int],
        in_channels: int = 3,
        reach: float = 8.0,
        confidence_weight: float = 1.0,
        overlap_weight: float = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        network = LayerNetwork(
            num_classes + _NUMBERS_A_BOX, layers=layers, image_size=window, in_channels=in_channels
        )
        self.height, self.width = window
        self.network = Convolutional(network.layers, (in_channels, self.height, self.width))
        self.num_classes = num_classes
        self.reach = reach
        self.confidence_weight = confidence_weight
        self.overlap_weight = overlap_weight

    def forward(self, images: Tensor) -> WindowOutputs:
        """Map images [B, in_channels, H, W] to raw outputs of all their windows."""
        height, width = images.shape[-2:]
        if height < self.height or width < self.width:
            raise ViewfinderError(
                f"Images of {height}x{width} pixels are smaller than the window of "
                f"{self.height}x{self.width} (model.window). Raise image.size."
            )
        found = self.network(images)
        rows, columns = found.shape[-2:]
        across, down = self._steps(images, columns, rows)
        top, left = torch.meshgrid(down, across, indexing="ij")
        numbers = found.flatten(2).mT
        return WindowOutputs(
            numbers[..., : self.num_classes],
            numbers[..., self.num_classes],
            numbers[..., self.num_classes + 1 :],
            torch.stack([left.flatten(), top.flatten()], dim=1),
        )

    def _steps(self, images: Tensor, columns: int, rows: int) -> tuple[Tensor, Tensor]:
        down, across = self.network.stride
        return (
            torch.arange(columns, device=images.device) * across,
            torch.arange(rows, device=images.device) * down,
        )

    def losses(
        self, outputs: WindowOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return the terms of the loss.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        pairs = [self._answers(outputs.corners, part) for part in boxes]
        images = torch.cat([torch.full_like(part[0], n) for n, part in enumerate(pairs)])
        windows = torch.cat([windows for windows, _ in pairs])
        objects = [objects for _, objects in pairs]
        truth = torch.cat([part[index] for part, index in zip(boxes, objects, strict=True)])
        classes = torch.cat([part[index] for part, index in zip(labels, objects, strict=True)])
        present = torch.zeros_like(outputs.confidence_logits)
        present[images, windows] = 1.0
        count = max(len(windows), 1)
        overlap = generalized_box_iou_loss(
            self._window_boxes(outputs)[images, windows], truth, reduction="sum"
        )
        cross_entropy = F.cross_entropy(
            outputs.class_logits[images, windows], classes, reduction="sum"
        )
        confidence = F.binary_cross_entropy_with_logits(
            outputs.confidence_logits, present, reduction="sum"
        )
        return {
            "class": cross_entropy / count,
            "confidence": self.confidence_weight * confidence / count,
            "overlap": self.overlap_weight * overlap / count,
        }

    def _answers(self, corners: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows that answer for objects, and for which, int64 [M] both."""
        middle = corners + torch.tensor([self.width, self.height], device=corners.device) / 2
        if not len(boxes):
            nothing = corners.new_zeros(0)
            return nothing, nothing
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        apart = (middle[:, None] - centres[None]).abs().amax(dim=-1)
        nearest, index = apart.min(dim=1)
        windows = (nearest <= self.reach).nonzero().squeeze(1)
        return windows, index[windows]

    def boxes(self, outputs: WindowOutputs) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, S, 4]."""
        return self._window_boxes(outputs)

    def scores(self, outputs: WindowOutputs) -> Tensor:
        """Return confidence times class probability, [B, S, C]."""
        return outputs.confidence_logits.sigmoid().unsqueeze(-1) * outputs.class_logits.softmax(-1)

    def _window_boxes(self, outputs: WindowOutputs) -> Tensor:
        shares = outputs.box_logits.sigmoid()
        sides = torch.tensor([self.width, self.height], device=shares.device)
        centres = outputs.corners + shares[..., :2] * sides
        half = shares[..., 2:] * sides / 2
        return torch.cat([centres - half, centres + half], dim=-1)
