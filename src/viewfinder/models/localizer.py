"""A class and one box from a timm backbone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from viewfinder.models.timm_models import timm_features


class Localization(NamedTuple):
    """Raw outputs of a localizer.

    Attributes:
        logits: Class logits [B, C].
        boxes: Centre x, centre y, width and height as shares of the image, [B, 4], in (0, 1).
    """

    logits: Tensor
    boxes: Tensor


class Localizer(nn.Module):
    """A timm backbone with a class head and a box head.

    The box head sees the feature map as a grid, since pooling it away would lose where things are.

    Args:
        num_classes: Number of classes.
        backbone: Name of a timm model.
        weights: Where the backbone's weights come from; see ``timm_classifier``.
        in_channels: Channels of the images.
        image_size: Height and width of the images, pixels; only backbones of a fixed size ask.
        stage: Which feature map of the backbone the heads read; -1 is the deepest.
        grid: Side of the grid that the feature map is pooled to for the box head.
        hidden: Width of the box head.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: str,
        weights: str | None = None,
        in_channels: int = 3,
        image_size: Sequence[int] | None = None,
        stage: int = -1,
        grid: int = 4,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.backbone = timm_features(
            backbone,
            stages=(stage,),
            weights=weights,
            in_channels=in_channels,
            image_size=image_size,
        )
        info: Any = self.backbone.feature_info
        width = info.channels()[-1]
        self.class_head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        )
        self.box_head = nn.Sequential(
            nn.AdaptiveAvgPool2d(grid),
            nn.Flatten(),
            nn.Linear(width * grid * grid, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 4),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Localization:
        """Map images [B, in_channels, H, W] to class logits and one box each."""
        features = self.backbone(images)[-1]
        return Localization(self.class_head(features), self.box_head(features))
