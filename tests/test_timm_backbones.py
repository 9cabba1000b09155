"""Backbones of timm whose maps have channels last, or that are built for one size of images."""

from pathlib import Path

import pytest
import torch

from viewfinder.assembly import build_task
from viewfinder.config import compose_config

PROJECT = Path(__file__).parents[1]
CLASSES = ["left", "middle", "right"]


@pytest.mark.parametrize("backbone", ["test_mambaout", "swin_tiny_patch4_window7_224"])
@pytest.mark.parametrize(
    ("experiment", "model", "output", "shape"),
    [
        ("localization", "localizer", "boxes", (2, 4)),
        ("segmentation", "fcn8", "probabilities", (2, 3, 64, 96)),
    ],
)
def test_any_backbone_serves_images_of_any_size(
    backbone: str, experiment: str, model: str, output: str, shape: tuple[int, ...]
) -> None:
    words = [f"+experiment={experiment}", f"model={model}", f"model.backbone={backbone}"]
    task = build_task(compose_config([*words, "image.size=[64,96]"], PROJECT), CLASSES)
    found = task.predict(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    assert found[output].shape == shape
