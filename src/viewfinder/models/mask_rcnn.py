"""torchvision's Mask R-CNN on the features of any timm backbone.

Source: K. He, G. Gkioxari, P. Dollár, R. Girshick, Mask R-CNN, ICCV 2017.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_loss, paste_masks_in_image

from viewfinder.models.region_detector import RegionDetector, RegionOutputs
from viewfinder.models.regions import RegionPool, join_regions, number_regions

_INSIDE = 0.5


class MaskRCNN(RegionDetector):
    """Faster R-CNN with a mask for each detection.

    Args:
        num_classes: Number of classes, without a background.
        mask_channels: Channels of the mask head.
        mask_layers: Convolutions of the mask head.
        mask_side: Cells along each side of a region that is pooled for its mask; the masks have
            twice as many.
        options: See ``RegionDetector``.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        mask_channels: int = 64,
        mask_layers: int = 4,
        mask_side: int = 14,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, **options)
        self.mask_pool = RegionPool(self.pooled_strides, mask_side)
        layers = [mask_channels] * mask_layers
        self.mask_head = MaskRCNNHeads(self.pyramid.out_channels, layers, dilation=1)
        self.mask_predictor = MaskRCNNPredictor(mask_channels, mask_channels, num_classes + 1)

    def losses(
        self,
        outputs: RegionOutputs,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        masks: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return the losses of Faster R-CNN and the cross-entropy of the masks.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
            masks: Values 0 and 1, uint8 [N, H, W] for each image.
        """
        sampled = self.sample(outputs, boxes, labels)
        objects = [found > 0 for found in sampled.labels]
        regions = [box[kept] for box, kept in zip(sampled.boxes, objects, strict=True)]
        matched = [index[kept] for index, kept in zip(sampled.matched, objects, strict=True)]
        mask = maskrcnn_loss(
            self._masks(outputs, join_regions(regions)),
            regions,
            masks,
            [label + 1 for label in labels],
            matched,
        )
        return {**self.box_losses(outputs, sampled, boxes), "mask": mask}

    def decode(self, outputs: RegionOutputs, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return what ``RegionDetector.decode`` returns, and ``masks``.

        ``masks`` [B, K, M, M] hold for each point of an M x M grid over the detection's box the
        probability that it belongs to the object; ``paste_masks`` brings them into the image.
        """
        found = super().decode(outputs, size)
        logits = self._masks(outputs, number_regions(found["boxes"]))
        side = logits.shape[-1]
        # The first class is the background.
        index = (found["labels"].reshape(-1, 1, 1, 1) + 1).expand(-1, 1, side, side)
        masks = logits.gather(1, index).sigmoid()
        found["masks"] = masks.reshape(-1, found["labels"].shape[1], side, side)
        return found

    def _masks(self, outputs: RegionOutputs, regions: Tensor) -> Tensor:
        """Return mask logits [R, C + 1, M, M] of regions [R, 5]."""
        pooled = self.mask_pool(outputs.levels, regions)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits.float()


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring masks over boxes into the image.

    Args:
        masks: Probabilities on a grid over each box, [N, M, M].
        boxes: Left, top, right, bottom in pixels, [N, 4].
        size: Height and width of the image, pixels.

    Returns:
        Which pixels belong to each object, bool [N, H, W].
    """
    pasted: Tensor = paste_masks_in_image(masks[:, None], boxes, size)
    return pasted[:, 0] >= _INSIDE
