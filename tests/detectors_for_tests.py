"""Tiny detectors, and scenes for them to learn."""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes

from viewfinder.data.sources.digit_scenes import SceneStyle, draw_scene
from viewfinder.models.faster_rcnn import FasterRCNN
from viewfinder.models.fcos import FCOSDetector
from viewfinder.models.mask_rcnn import MaskRCNN
from viewfinder.models.retinanet import RetinaNetDetector
from viewfinder.models.yolo_grid import YOLOGrid

CLASSES = 10
SIDE = 64
DETECTORS = {
    "fcos": FCOSDetector,
    "retinanet": RetinaNetDetector,
    "yolo_grid": YOLOGrid,
    "faster_rcnn": FasterRCNN,
    "mask_rcnn": MaskRCNN,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "fcos": {"head_layers": 1},
    "retinanet": {"anchor_scale": 3.0},
    "faster_rcnn": {"anchor_scale": 4.0, "hidden": 32, "proposals": 30, "sampled": 32},
    "mask_rcnn": {
        "anchor_scale": 4.0,
        "hidden": 32,
        "proposals": 30,
        "sampled": 32,
        "mask_channels": 16,
        "mask_layers": 1,
    },
}


def make_detector(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    given = {"backbone": "test_byobnet", "channels": 32, "detections": 20, **OPTIONS.get(name, {})}
    return DETECTORS[name](CLASSES, **given, **options)


@cache
def scenes() -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Three images of two or three digits, the last one's unlabelled, as a network sees them."""
    style = SceneStyle(size=SIDE, digits=(2, 3))
    drawn = [draw_scene(0, "test", index, style) for index in range(3)]
    pictures = [torch.from_numpy(scene.image[..., ::-1].copy()) for scene in drawn]
    images = torch.stack(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    masks = [torch.from_numpy(scene.masks).to(torch.uint8) for scene in drawn]
    labels = [torch.tensor(scene.labels) for scene in drawn]
    masks[-1], labels[-1] = masks[-1][:0], labels[-1][:0]
    boxes = [masks_to_boxes(part).float() for part in masks]
    return images, boxes, labels, masks
