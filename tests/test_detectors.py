"""Every detector: its outputs, its losses, what it decodes, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from detectors_for_tests import CLASSES, DETECTORS, SIDE, make_detector, scenes
from torch import Tensor, nn
from torchvision.ops import box_iou, masks_to_boxes

from viewfinder.errors import ViewfinderError
from viewfinder.models.dense import clip_boxes
from viewfinder.models.feature_maps import FeaturePyramid
from viewfinder.models.mask_rcnn import MaskRCNN, paste_masks
from viewfinder.models.regions import RegionPool, number_regions
from viewfinder.tasks import Detection, InstanceSegmentation


def losses(detector: Any, outputs: Any) -> dict[str, Tensor]:
    _, boxes, labels, masks = scenes()
    targets = (boxes, labels, masks) if isinstance(detector, MaskRCNN) else (boxes, labels)
    found: dict[str, Tensor] = detector.losses(outputs, *targets)
    return found


@pytest.mark.parametrize("name", DETECTORS)
def test_detections_are_sorted_padded_and_inside_the_image(name: str) -> None:
    detector = make_detector(name, score_threshold=0.0).eval()
    with torch.no_grad():
        found = detector.decode(detector(scenes()[0]), (SIDE, SIDE))
    count = 20
    assert found["boxes"].shape == (3, count, 4)
    assert found["scores"].shape == found["labels"].shape == (3, count)
    assert found["labels"].dtype == torch.int64
    assert (found["scores"].diff() <= 0).all()
    kept = found["scores"] > 0
    assert kept.any()
    assert (found["scores"] <= 1).all()
    boxes, labels = found["boxes"][kept], found["labels"][kept]
    assert torch.equal(boxes, clip_boxes(boxes, (SIDE, SIDE)))
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    assert ((labels >= 0) & (labels < CLASSES)).all()
    if name == "mask_rcnn":
        assert found["masks"].shape == (3, count, 28, 28)
        assert ((found["masks"] >= 0) & (found["masks"] <= 1)).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    detector = make_detector(name).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=4e-3)
    totals = []
    for _ in range(8):
        found = losses(detector, detector(scenes()[0]))
        total = torch.stack(list(found.values())).sum()
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimizer.step()
        totals.append(float(total.detach()))
    assert sum(totals[-3:]) < 0.95 * sum(totals[:3])


@pytest.mark.parametrize("name", DETECTORS)
def test_every_parameter_learns(name: str) -> None:
    detector = make_detector(name).train()
    torch.stack(list(losses(detector, detector(scenes()[0])).values())).sum().backward()
    idle = [key for key, value in detector.named_parameters() if value.grad is None]
    assert not idle


@pytest.mark.parametrize("name", DETECTORS)
def test_losses_in_evaluation_mode_are_finite_without_objects(name: str) -> None:
    images, *targets = scenes()
    nothing = [[part[:0] for part in target] for target in targets]
    detector = make_detector(name).eval()
    with torch.no_grad():
        given = nothing if name == "mask_rcnn" else nothing[:2]
        found = detector.losses(detector(images), *given)
    assert all(value.isfinite() for value in found.values())


@pytest.mark.parametrize("name", DETECTORS)
def test_half_precision_is_left_behind_before_losses_and_boxes(name: str) -> None:
    detector = make_detector(name, score_threshold=0.0).train()
    kind = InstanceSegmentation if name == "mask_rcnn" else Detection
    task = kind(detector, [str(digit) for digit in range(CLASSES)], mean=[0.5], std=[0.5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = task.outputs(scenes()[0])
        found = losses(detector, outputs)
        decoded = detector.decode(outputs, (SIDE, SIDE))
    assert all(value.isfinite() and value.dtype == torch.float32 for value in found.values())
    assert decoded["boxes"].dtype == decoded["scores"].dtype == torch.float32


@pytest.mark.parametrize("name", ["fcos", "retinanet", "faster_rcnn"])
def test_extra_levels_add_coarser_boxes(name: str) -> None:
    plain, taller = (
        make_detector(name, extra_levels=levels).eval()(scenes()[0]) for levels in (0, 2)
    )
    if name == "faster_rcnn":
        plain, taller = plain.proposals, taller.proposals
    assert taller.level_sizes[: len(plain.level_sizes)] == plain.level_sizes
    assert len(taller.level_sizes) == len(plain.level_sizes) + 2
    assert len(taller.anchors) == sum(taller.level_sizes)


def grid_of(boxes: list[list[float]], labels: list[int], **options: Any) -> Any:
    """Return the loss of raw outputs that say just this, and what they decode to."""
    detector = make_detector("yolo_grid", **options).eval()
    with torch.no_grad():
        outputs = detector(scenes()[0][:1])
    truth = ([torch.tensor(boxes)], [torch.tensor(labels)])
    return detector, outputs, truth


def test_a_grid_that_says_the_truth_has_no_box_loss_and_decodes_to_it() -> None:
    boxes, labels = [[10.0, 12.0, 30.0, 44.0], [40.0, 2.0, 60.0, 20.0]], [3, 7]
    detector, outputs, truth = grid_of(boxes, labels)
    centres = (truth[0][0][:, :2] + truth[0][0][:, 2:]) / 2
    sides = truth[0][0][:, 2:] - truth[0][0][:, :2]
    stride = outputs.grids.strides[0]
    cells = (centres / stride).long()
    index = cells[:, 1] * outputs.grids.shapes[0][1] + cells[:, 0]
    wanted = torch.cat([centres / stride - cells, (sides / SIDE).sqrt()], dim=1)
    outputs.box_logits[0, index, 0] = torch.logit(wanted)
    outputs.confidence_logits[:] = -20.0
    outputs.confidence_logits[0, index, 0] = 20.0
    outputs.class_logits[0, index, torch.tensor(labels)] = 30.0
    found = detector.losses(outputs, *truth)
    assert float(torch.stack(list(found.values())).sum()) < 1e-3
    decoded = detector.decode(outputs, (SIDE, SIDE))
    assert (decoded["scores"][0] > 0.5).sum() == 2
    order = decoded["labels"][0, :2].argsort()
    torch.testing.assert_close(decoded["boxes"][0, :2][order], truth[0][0], atol=1e-3, rtol=0)
    assert decoded["labels"][0, :2][order].tolist() == labels


def test_of_two_objects_in_a_cell_the_first_is_learnt() -> None:
    detector, outputs, truth = grid_of([[8.0, 8.0, 30.0, 30.0]] * 2, [3, 7])
    outputs.class_logits[..., 3] = 30.0
    assert float(detector.losses(outputs, *truth)["class"]) < 1e-3


def test_objects_go_to_the_grid_of_their_size() -> None:
    small, large = [4.0, 4.0, 20.0, 20.0], [2.0, 2.0, 62.0, 62.0]
    detector, outputs, truth = grid_of([small, large], [1, 2], grids=2)
    cells = math.prod(outputs.grids.shapes[0])
    outputs.class_logits[:, :cells, 1] = 30.0
    outputs.class_logits[:, cells:, 2] = 30.0
    assert float(detector.losses(outputs, *truth)["class"]) < 1e-3


def test_regions_are_pooled_from_the_level_of_their_size() -> None:
    pool = RegionPool([8, 16], side=2)
    levels = [torch.zeros(2, 1, 64, 64), torch.ones(2, 1, 32, 32)]
    levels[1][1] = 5.0
    boxes = torch.tensor([[[0.0, 0, 40, 40], [0, 0, 400, 400]]]).repeat(2, 1, 1)
    pooled = pool(levels, number_regions(boxes))
    assert pooled.shape == (4, 1, 2, 2)
    assert pooled.amax(dim=(1, 2, 3)).tolist() == [0.0, 1.0, 0.0, 5.0]


def test_masks_are_pasted_where_their_boxes_are() -> None:
    boxes = torch.tensor([[8.0, 16.0, 40.0, 60.0], [0.0, 0.0, 20.0, 20.0]])
    pasted = paste_masks(torch.ones(2, 28, 28), boxes, (SIDE, SIDE + 16))
    assert pasted.shape == (2, SIDE, SIDE + 16)
    assert pasted.dtype == torch.bool
    overlaps = box_iou(masks_to_boxes(pasted) + torch.tensor([0.0, 0, 1, 1]), boxes)
    assert overlaps.diagonal().min() > 0.85
    assert paste_masks(torch.zeros(0, 28, 28), boxes[:0], (9, 9)).shape == (0, 9, 9)


def pyramid(**options: Any) -> FeaturePyramid:
    given = {"backbone": "test_byobnet", "stages": (2, 3), "channels": 32}
    return FeaturePyramid(**(given | options))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: pyramid(backbone="resnet_18"), ["'resnet_18'", "resnet18"]),
        (
            lambda: pyramid(stages=(2, 9)),
            ["model.stages is [2, 9]", "'test_byobnet'", "3 (stride 16)"],
        ),
        (lambda: pyramid(extra_levels=3), ["model.extra_levels", "3"]),
        (
            lambda: pyramid(stages=(2, 3, 4))(torch.zeros(1, 3, 20, 48)),
            ["20x48", "stage 4", "'test_byobnet'", "32", "image.size", "[2, 3]"],
        ),
    ],
    ids=["name", "stages", "levels", "size"],
)
def test_what_cannot_work_is_refused_by_key(build: Callable[[], Any], words: list[str]) -> None:
    with pytest.raises(ViewfinderError) as caught:
        build()
    assert [word for word in words if word not in str(caught.value)] == []


def test_backbones_with_channels_last_serve_too() -> None:
    levels = pyramid(backbone="test_mambaout", stages=(1, 2))(torch.zeros(1, 3, 64, 96))
    assert [level.shape for level in levels] == [(1, 32, 8, 12), (1, 32, 4, 6)]
