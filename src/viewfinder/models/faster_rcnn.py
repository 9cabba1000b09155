"""torchvision's Faster R-CNN on the features of any timm backbone."""

from collections.abc import Sequence

from torch import Tensor

from viewfinder.models.region_detector import RegionDetector, RegionOutputs


class FasterRCNN(RegionDetector):
    """Faster R-CNN; its options are those of ``RegionDetector``."""

    def losses(
        self, outputs: RegionOutputs, boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return torchvision's losses of both stages.

        Args:
            outputs: What ``forward`` returned.
            boxes: Left, top, right, bottom in pixels, float32 [N, 4] for each image.
            labels: Class indices, int64 [N] for each image.
        """
        return self.box_losses(outputs, self.sample(outputs, boxes, labels), boxes)
