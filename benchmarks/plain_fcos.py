"""How fast this machine trains a small detector in plain PyTorch: a measure for other times.

torchvision's FCOS on the features of timm's test_resnet (strides 8 and 16, 64 channels), batches of
32 random images of 128 x 128 pixels with five boxes each, AdamW.
"""

import argparse
import statistics
import time

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork

SIDE, BATCH, BOXES, CLASSES = 128, 32, 5, 10


class Pyramid(nn.Module):
    """Two levels of features of 64 channels."""

    out_channels = 64

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("test_resnet", features_only=True, out_indices=(2, 3))
        self.pyramid = FeaturePyramidNetwork(self.body.feature_info.channels(), self.out_channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images to features by level."""
        levels = {str(level): maps for level, maps in enumerate(self.body(images))}
        features: dict[str, Tensor] = self.pyramid(levels)
        return features


def main() -> None:
    """Print images a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="steps to time (default 20)")
    options = parser.parse_args()
    anchors = AnchorGenerator(sizes=((8,), (16,)), aspect_ratios=((1.0,), (1.0,)))
    size = {"min_size": SIDE, "max_size": SIDE}
    detector = FCOS(Pyramid(), CLASSES, anchor_generator=anchors, **size)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    images = list(torch.rand(BATCH, 3, SIDE, SIDE))
    targets = [random_target() for _ in images]
    seconds = []
    for _ in range(options.steps + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        sum(detector(images, targets).values()).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    rate = BATCH / statistics.median(seconds[2:])
    print(f"{rate:.0f} images/s ({torch.get_num_threads()} threads)")


def random_target() -> dict[str, Tensor]:
    """Return boxes of 24 to 44 pixels and their labels."""
    corners = torch.rand(BOXES, 2) * (SIDE - 44)
    sides = 24 + torch.rand(BOXES, 2) * 20
    labels = torch.randint(0, CLASSES, (BOXES,))
    return {"boxes": torch.cat([corners, corners + sides], dim=1), "labels": labels}


if __name__ == "__main__":
    main()
