"""Dense layers as convolutions: a network says of a window what it says of the crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from viewfinder.assembly import build_datamodule, build_task
from viewfinder.config import compose_config
from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.schema import SplitInfo, split_path
from viewfinder.data.sources.digit_crops import cut_crop
from viewfinder.data.sources.digit_scenes import SceneStyle, draw_scene
from viewfinder.data.splits.assign import official_split
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError
from viewfinder.models.convolutional import Convolutional
from viewfinder.models.layers import Layer, LayerNetwork
from viewfinder.models.sliding import SlidingDetector

LAYERS: list[Layer] = [
    {"conv": 6, "kernel": 3, "activation": "relu"},
    {"max_pool": 2},
    "batch_norm",
    {"conv": 8, "kernel": 4, "stride": 2},
    {"max_pool": 2},
    "flatten",
    {"dropout": 0.5},
    {"dense": 12, "activation": "tanh"},
    {"dense": "classes"},
]


def make_network(window: tuple[int, int]) -> LayerNetwork:
    torch.manual_seed(0)
    network = LayerNetwork(7, layers=LAYERS, image_size=window)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


def crops(images: Tensor, window: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """All windows of images [B, C, H, W], as [B, rows, columns, C, h, w]."""
    tiles = images.unfold(2, window[0], stride[0]).unfold(3, window[1], stride[1])
    return tiles.permute(0, 2, 3, 1, 4, 5)


@pytest.mark.parametrize("size", [(32, 36), (40, 44), (61, 70)])
def test_windows_give_what_crops_give(size: tuple[int, int]) -> None:
    window = (32, 36)
    network = make_network(window)
    sliding = Convolutional(network.layers, (3, *window)).eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        found = sliding(images)
        tiles = crops(images, window, sliding.stride)
        expected = network(tiles.flatten(0, 2)).unflatten(0, tiles.shape[:3]).permute(0, 3, 1, 2)
    assert sliding.stride == (8, 8)
    assert found.shape == expected.shape
    assert found.shape[2:] == tuple((size[side] - window[side]) // 8 + 1 for side in (0, 1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_net_for_224_pixels_gives_a_grid_of_8_by_8_on_448() -> None:
    layers: list[Layer] = [{"conv": 2, "kernel": 2, "stride": 2} for _ in range(5)]
    layers += ["flatten", {"dense": 6}, {"dense": "classes"}]
    network = LayerNetwork(10, layers=layers, image_size=(224, 224)).eval()
    sliding = Convolutional(network.layers, (3, 224, 224))
    images = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        found = sliding(images)
        tiles = crops(images, (224, 224), (32, 32))[:, ::7, ::7].flatten(0, 2)
        expected = network(tiles)
    assert found.shape == (1, 10, 8, 8)
    corners = found[0, :, ::7, ::7].flatten(1).T
    torch.testing.assert_close(corners, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"conv": 4, "padding": "same"}, ["layer 1", "Conv2d", "padding: valid"]),
        ("global_average_pool", ["layer 1", "AdaptiveAvgPool2d", "flatten"]),
    ],
)
def test_layers_that_cannot_slide_are_refused(layer: Layer, words: list[str]) -> None:
    rest: list[Layer] = [{"dense": "classes"}]
    flat = rest if layer == "global_average_pool" else ["flatten", *rest]
    network = LayerNetwork(3, layers=[layer, *flat], image_size=(8, 8))
    with pytest.raises(ViewfinderError) as caught:
        Convolutional(network.layers, (3, 8, 8))
    assert [word for word in words if word not in str(caught.value)] == []


def make_detector(**options: Any) -> SlidingDetector:
    torch.manual_seed(0)
    return SlidingDetector(4, layers=LAYERS, window=(32, 32), **options)


def test_an_image_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(ViewfinderError, match=r"32x30.*32x32.*image\.size"):
        make_detector()(torch.zeros(1, 3, 32, 30))


def test_the_window_around_an_object_answers_for_it() -> None:
    detector = make_detector(reach=4.0).eval()
    truth = torch.tensor([[10.0, 12.0, 22.0, 32.0]])
    with torch.no_grad():
        outputs = detector(torch.zeros(1, 3, 48, 48))
    assert outputs.corners.tolist() == [[x, y] for y in (0, 8, 16) for x in (0, 8, 16)]
    # The object's centre is (16, 22): windows at (0, 8) are 2 pixels off, others more than 4.
    wanted = torch.tensor([16.0, 14.0, 12.0, 20.0]) / 32
    outputs.box_logits[0, 3] = torch.logit(wanted)
    outputs.confidence_logits[:] = -30.0
    outputs.confidence_logits[0, 3] = 30.0
    outputs.class_logits[0, 3, 2] = 40.0
    found = detector.losses(outputs, [truth], [torch.tensor([2])])
    assert all(float(value) < 1e-4 for value in found.values())
    decoded = detector.decode(outputs, (48, 48))
    assert int((decoded["scores"] > 0.5).sum()) == 1
    torch.testing.assert_close(decoded["boxes"][0, :1], truth, atol=1e-3, rtol=0)
    assert int(decoded["labels"][0, 0]) == 2


def test_it_learns_from_crops_with_and_without_objects() -> None:
    detector = make_detector().train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=5e-3)
    images = torch.randn(6, 3, 32, 32)
    boxes = [torch.tensor([[6.0, 8.0, 26.0, 24.0]])] * 3 + [torch.zeros(0, 4)] * 3
    labels = [torch.tensor([n]) for n in range(3)] + [torch.zeros(0, dtype=torch.int64)] * 3
    totals = []
    for _ in range(20):
        total = torch.stack(list(detector.losses(detector(images), boxes, labels).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.7 * totals[0]


def test_crops_hold_the_digits_that_are_mostly_in_them() -> None:
    scene = draw_scene(0, "train", 1, SceneStyle(size=96, digits=(3, 4), digit_size=(16, 24)))
    found = [cut_crop(scene, 32, 4, np.random.default_rng(number)) for number in range(30)]
    assert all(crop.image.shape == (32, 32, 3) for crop in found)
    assert all(crop.masks.shape == (len(crop.labels), 32, 32) for crop in found)
    counts = {len(crop.labels) for crop in found}
    assert 0 in counts
    assert 1 in counts
    whole = {label: mask.sum() for label, mask in zip(scene.labels, scene.masks, strict=True)}
    if len(whole) == len(scene.labels):
        for crop in found:
            for label, mask in zip(crop.labels, crop.masks, strict=True):
                assert mask.sum() >= 0.75 * whole[label]


def test_test_images_may_be_larger_than_those_to_learn_from(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    config = compose_config(["+experiment=fcn_sliding_digits", "loader.batch_size=2"], root)
    OmegaConf.resolve(config)
    raw = tmp_path / "raw"
    raw.mkdir()
    options = dict(config.dataset.source) | {"counts": {"train": 4, "val": 2, "test": 2}}
    instantiate(options)(raw)
    write_checksums(raw)
    with Archive(raw) as archive:
        reading = instantiate(config.dataset.reader)(archive)
        for split, records in official_split(reading.records).items():
            path = tmp_path / split_path("digit_crops", split)
            path.parent.mkdir(parents=True, exist_ok=True)
            info = SplitInfo("digit_crops", split, reading.classes, {})
            write_split(path, records, archive, reading.annotations, info)
    small = next(iter(build_datamodule(config, ("train",), tmp_path).train_dataloader()))
    large = next(iter(build_datamodule(config, ("test",), tmp_path).test_dataloader()))
    assert small["image"].shape == (2, 3, 48, 48)
    assert large["image"].shape == (2, 3, 128, 128)
    task = build_task(config, reading.classes).eval()
    with torch.no_grad():
        assert len(task.model(task.normalize(small["image"])).corners) == 1
        assert len(task.model(task.normalize(large["image"])).corners) == 11 * 11
