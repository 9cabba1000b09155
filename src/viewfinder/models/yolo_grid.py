"""A grid detector: each cell predicts a few boxes, their confidence, and one class.

Source: J. Redmon, S. Divvala, R. Girshick, A. Farhadi, You Only Look Once: Unified, Real-Time
Object Detection, CVPR 2016. Taken from later practice: a convolutional head on a feature pyramid,
sigmoids that keep centre and size in range, and cross-entropy for confidence and class.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation, generalized_box_iou_loss

from viewfinder.models.dense import DenseDetector
from viewfinder.models.feature_maps import FeaturePyramid
from viewfinder.models.grids import Assigned, Grids, assign, lay_grids, paired_iou

_NUMBERS_A_BOX = 5
_RARE = -4.0


class GridOutputs(NamedTuple):
    """Raw outputs of the grid detector for all S cells of all grids.

    Attributes:
        box_logits: Logits of the centre within its cell and of the square roots of width and
            height as shares of the image, [B, S, K, 4].
        confidence_logits: [B, S, K].
        class_logits: [B, S, C].
        grids: Where the cells are.
        size: Height and width of the images, pixels.
    """

    box_logits: Tensor
    confidence_logits: Tensor
    class_logits: Tensor
    grids: Grids
    size: tuple[int, int]

    @property
    def level_sizes(self) -> list[int]:
        """Number of boxes of each grid."""
        boxes_a_cell = self.box_logits.shape[2]
        return [height * width * boxes_a_cell for height, width in self.grids.shapes]


class YOLOGrid(DenseDetector):
    """A YOLO-style detector on a timm backbone.

    The cell that holds an object's centre answers for it, with the one of its boxes that overlaps
    the object most. A cell answers for one object; of several, for the first in the annotation.

    Args:
        num_classes: Number of classes.
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        stages: Which feature maps of the backbone the pyramid is made of.
        channels: Channels of the pyramid and the head.
        grids: Levels of the pyramid that carry a grid, from the finest; an object belongs to the
            grid in which its longer side is nearest to four cells.
        boxes_a_cell: Boxes that each cell predicts, K.
        head_layers: Convolutions of the head.
        coord_weight: Weight of the boxes' loss.
        noobj_weight: Weight of the confidence loss of boxes without an object.
        overlap_weight: Weight of the generalized IoU loss beside the squared differences of centre
            and size; 0 is the paper's loss.
        options: See ``DenseDetector``.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        weights: str | None = None,
        in_channels: int = 3,
        stages: Sequence[int] = (2, 3),
        channels: int = 64,
        grids: int = 1,
        boxes_a_cell: int = 2,
        head_layers: int = 2,
        coord_weight: float = 5.0,
        noobj_weight: float = 0.5,
        overlap_weight: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pyramid = FeaturePyramid(
            backbone,
            weights=weights,
            in_channels=in_channels,
            stages=stages,
            channels=channels,
            levels=grids,
        )
        outputs = nn.Conv2d(channels, boxes_a_cell * _NUMBERS_A_BOX + num_classes, kernel_size=1)
        nn.init.normal_(outputs.weight, std=0.01)
        bias = torch.zeros(outputs.out_channels)
        bias[4 * boxes_a_cell : _NUMBERS_A_BOX * boxes_a_cell] = _RARE
        outputs.bias = nn.Parameter(bias)
        self.head = nn.Sequential(
            *(Conv2dNormActivation(channels, channels) for _ in range(head_layers)), outputs
        )
        self.boxes_a_cell = boxes_a_cell
        self.coord_weight = coord_weight
        self.noobj_weight = noobj_weight
        self.overlap_weight = overlap_weight

    def forward(self, images: Tensor) -> GridOutputs:
        """Map images [B, in_channels, H, W] to raw outputs."""
        levels = self.pyramid(images)
        found = torch.cat([self.head(level).flatten(2) for level in levels], dim=2).mT
        count = self.boxes_a_cell
        height, width = images.shape[-2:]
        return GridOutputs(
            torch.unflatten(found[..., : 4 * count], -1, (count, 4)),
            found[..., 4 * count : _NUMBERS_A_BOX * count],
            found[..., _NUMBERS_A_BOX * count :],
            lay_grids(levels, self.pyramid.strides),
            (height, width),
        )

    def losses(
        self, outputs: GridOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return the terms of the loss, each a sum over cells divided by the number of objects.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        found = assign(outputs.grids, boxes, labels)
        place = (found.images, found.cells)
        count = max(len(found.labels), 1)
        candidates = self._cell_boxes(outputs)[place]
        overlaps = paired_iou(candidates, found.boxes[:, None])
        responsible = overlaps.detach().argmax(dim=1)
        rows = torch.arange(len(responsible), device=responsible.device)
        confidence = torch.zeros_like(outputs.confidence_logits)
        weight = torch.full_like(confidence, self.noobj_weight)
        confidence[(*place, responsible)] = overlaps.detach()[rows, responsible]
        weight[(*place, responsible)] = 1.0
        squared = self._squared_error(outputs, found, responsible)
        losses = {
            "box": self.coord_weight * squared / count,
            "confidence": F.binary_cross_entropy_with_logits(
                outputs.confidence_logits, confidence, weight, reduction="sum"
            )
            / count,
            "class": F.cross_entropy(outputs.class_logits[place], found.labels, reduction="sum")
            / count,
        }
        if self.overlap_weight:
            overlap = generalized_box_iou_loss(
                candidates[rows, responsible], found.boxes, reduction="sum"
            )
            losses["overlap"] = self.overlap_weight * overlap / count
        return losses

    def _squared_error(self, outputs: GridOutputs, found: Assigned, responsible: Tensor) -> Tensor:
        """Sum the squared differences of centres in cells and of square roots of sides."""
        centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        height, width = outputs.size
        limits = torch.tensor([width, height], dtype=sides.dtype, device=sides.device)
        corners, cells = outputs.grids.corners[found.cells], outputs.grids.sides[found.cells]
        target = torch.cat([(centres - corners) / cells, (sides / limits).sqrt()], dim=1)
        predicted = outputs.box_logits[found.images, found.cells, responsible].sigmoid()
        return F.mse_loss(predicted, target, reduction="sum")

    def boxes(self, outputs: GridOutputs) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, S * K, 4]."""
        return self._cell_boxes(outputs).flatten(1, 2)

    def scores(self, outputs: GridOutputs) -> Tensor:
        """Return confidence times class probability, [B, S * K, C]."""
        confidence = outputs.confidence_logits.sigmoid().unsqueeze(-1)
        classes = outputs.class_logits.softmax(dim=-1).unsqueeze(2)
        return (confidence * classes).flatten(1, 2)

    def _cell_boxes(self, outputs: GridOutputs) -> Tensor:
        """Return left, top, right, bottom in pixels, [B, S, K, 4]."""
        height, width = outputs.size
        shares = outputs.box_logits.sigmoid()
        grids = outputs.grids
        centres = grids.corners[:, None] + shares[..., :2] * grids.sides[:, None]
        limits = torch.tensor([width, height], dtype=shares.dtype, device=shares.device)
        half = shares[..., 2:].square() * limits / 2
        return torch.cat([centres - half, centres + half], dim=-1)
