"""Heatmaps of a trained detector and segmentation network point at the object, others don't."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes

from viewfinder.data.sources.digit_scenes import SceneStyle, draw_scene
from viewfinder.explain.class_activation import explain_image
from viewfinder.explain.heatmaps import describe
from viewfinder.explain.subject import Subject
from viewfinder.explain.targets import ClassScores, find_target
from viewfinder.models.mask_rcnn import MaskRCNN
from viewfinder.models.yolo_grid import YOLOGrid
from viewfinder.tasks import (
    Classification,
    Detection,
    InstanceSegmentation,
    SemanticSegmentation,
    VisionTask,
)

SIDE = 64  # pixels, of which a digit takes 4 %
NORMALIZE: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.25] * 3}
Loss = Callable[[Any, Any, Tensor], Tensor]


def scenes(split: Any, count: int) -> tuple[Tensor, Tensor]:
    """Return images of one digit on a texture, uint8, and its mask, bool [N, H, W]."""
    style = SceneStyle(size=SIDE, digits=(1, 1), digit_size=(14, 18))
    drawn = [draw_scene(3, split, index, style) for index in range(count)]
    images = np.stack([scene.image[..., ::-1] for scene in drawn]).transpose(0, 3, 1, 2)
    masks = np.stack([scene.masks[0] for scene in drawn])
    return torch.from_numpy(images.copy()), torch.from_numpy(masks).bool()


def detector(seed: int) -> Detection:
    torch.manual_seed(seed)
    network = YOLOGrid(1, backbone="test_byobnet", stages=(1, 2), channels=32, head_layers=1)
    return Detection(network, ["digit"], **NORMALIZE)


def segmenter(seed: int) -> SemanticSegmentation:
    torch.manual_seed(seed)
    sizes = ((3, 16, 2, 1), (16, 32, 2, 1), (32, 32, 1, 2))
    layers: list[nn.Module] = []
    for given, made, stride, dilation in sizes:
        conv = nn.Conv2d(given, made, 3, stride, dilation, dilation, bias=False)
        layers += [conv, nn.BatchNorm2d(made), nn.ReLU()]
    layers += [nn.Conv2d(32, 2, 1), nn.Upsample(scale_factor=4, mode="bilinear")]
    losses = {"cross_entropy": 1.0, "dice": 1.0}
    return SemanticSegmentation(
        nn.Sequential(*layers), ["background", "digit"], losses=losses, **NORMALIZE
    )


def detection_loss(task: Any, outputs: Any, masks: Tensor) -> Tensor:
    boxes = [box[None] for box in masks_to_boxes(masks)]
    terms = task.model.losses(outputs, boxes, [torch.zeros(1, dtype=torch.int64)] * len(boxes))
    return torch.stack(list(terms.values())).sum()


def mask_loss(task: Any, outputs: Any, masks: Tensor) -> Tensor:
    return torch.stack(list(task.losses(outputs, {"mask": masks.long()}).values())).sum()


def train(task: VisionTask, loss: Loss, epochs: int) -> VisionTask:
    """Train for seconds, far from the end but far from chance."""
    images, masks = scenes("train", 240)
    steps = [part for _ in range(epochs) for part in torch.randperm(240).split(16)]
    optimizer = torch.optim.AdamW(task.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=len(steps))
    task.train()
    for chosen in steps:
        optimizer.zero_grad()
        loss(task, task.model(task.normalize(images[chosen])), masks[chosen]).backward()
        nn.utils.clip_grad_norm_(task.parameters(), 10)
        optimizer.step()
        schedule.step()
    return task.eval()


def hit_rates(task: VisionTask) -> dict[str, float]:
    """Return for each method how often its heatmap's maximum lies in the object's box."""
    hits: dict[str, list[bool]] = {}
    images, masks = scenes("test", 16)
    for image, box in zip(images, masks_to_boxes(masks).tolist(), strict=True):
        for name, heat in explain_image(task, image).maps.items():
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            hit = box[0] <= column <= box[2] and box[1] <= row <= box[3]
            hits.setdefault(name, []).append(bool(heat.any() and hit))
    return {name: float(np.mean(found)) for name, found in hits.items()}


@pytest.mark.parametrize(
    ("make", "loss", "epochs", "methods"),
    [
        (detector, detection_loss, 3, ["HiResCAM", "Score-CAM"]),
        (segmenter, mask_loss, 3, ["Grad-CAM", "Score-CAM"]),
    ],
    ids=["detection", "segmentation"],
)
def test_heatmaps_point_at_the_object_after_training_only(
    make: Callable[[int], VisionTask],
    loss: Loss,
    epochs: int,
    methods: Sequence[str],
) -> None:
    found = hit_rates(train(make(0), loss, epochs))
    by_chance = hit_rates(make(0).eval())
    assert list(found) == methods
    for name, rate in found.items():
        assert rate >= 0.75
        assert by_chance[name] <= 0.5


def test_the_second_stage_is_asked_about_the_explained_region_alone() -> None:
    torch.manual_seed(0)
    network = MaskRCNN(
        1, backbone="test_byobnet", stages=(1, 2), channels=32, anchor_scale=3.0, hidden=32
    )
    task = InstanceSegmentation(network, ["digit"], **NORMALIZE).eval()
    image = scenes("test", 1)[0][0]
    found = explain_image(task, image)
    assert found.layer.startswith("pyramid.pyramid.layer_blocks.")
    assert found.box is not None
    assert found.target.score == pytest.approx(float(task.predict(image[None])["scores"][0, 0]))
    scores = ClassScores(task)
    target = find_target(task, scores, task.normalize(image[None]))
    others = scores(task.normalize(scenes("test", 2)[0]))
    assert others.shape == (2, 1, 1)  # whatever is proposed there
    assert float(target.value(others[0]).detach()) == pytest.approx(target.score)
    # Two cells of eight pixels around what is pooled.
    left, top, right, bottom = found.box + np.array([-16, -16, 16, 16])
    rows, columns = np.nonzero(found.maps["HiResCAM"])
    assert len(rows)
    assert left <= columns.min() <= columns.max() <= right
    assert top <= rows.min() <= rows.max() <= bottom


class Saturated(nn.Module):
    """A class score that hardly changes, whatever is masked."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: Any = nn.Conv2d(3, 8, 3, stride=4)
        self.last = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        strength = 1e4 * self.maps(images).abs().amax(dim=(2, 3))
        scores: Tensor = self.last(strength / (1 + strength))
        return scores


def test_where_nothing_stands_out_no_noise_is_stretched() -> None:
    torch.manual_seed(0)
    network = Saturated()
    with torch.no_grad():
        network.last.weight.abs_()
        nn.init.zeros_(network.maps.bias)
    task = Classification(network, ["a", "b"], **NORMALIZE).eval()
    image = scenes("test", 1)[0][0]
    found = explain_image(task, image)
    assert not found.maps["Score-CAM"].any()
    boxes: NDArray[np.float32] = np.zeros((0, 4), np.float32)
    assert "nothing stands out in" in describe(Subject("a", image, boxes), found, ["a", "b"])
    with torch.no_grad():  # maps that are alike but for a thousandth
        network.maps.weight.mul_(1e-3)
        nn.init.ones_(network.maps.bias)
    assert not any(heat.any() for heat in explain_image(task, image).maps.values())
