"""The plain convolutional network of introductory courses."""

from collections.abc import Sequence

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Convolution and pooling in turn, then one dense layer.

    Source: F. Chollet, Deep Learning with Python, 2nd edition, chapter 8 (Manning, 2021).

    Args:
        num_classes: Number of classes.
        image_size: Height and width of the input, pixels.
        channels: Filters of each 3x3 convolution (valid padding); a 2x2 pooling stands between
            two of them.
        dropout: Share of the features dropped before the dense layer.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: Sequence[int],
        channels: Sequence[int] = (32, 64, 128),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, width = image_size
        inputs = 3
        for index, outputs in enumerate(channels):
            if index:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            layers += [nn.Conv2d(inputs, outputs, kernel_size=3), nn.ReLU()]
            height, width = height - 2, width - 2
            inputs = outputs
        if min(height, width) < 1:
            raise ValueError(f"images of {tuple(image_size)} pixels are too small for {channels}")
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(inputs * height * width, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to class logits [B, C]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
