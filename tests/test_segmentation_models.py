"""Segmentation networks, built from conf/ as a training builds them."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.errors import ViewfinderError
from viewfinder.models.segmenter import smp_model

PROJECT = Path(__file__).parents[1]
MODELS = ["fcn32", "fcn16", "fcn8", "unet", "unetplusplus", "linknet"]
MODELS += ["fpn", "deeplabv3plus", "segformer"]
CLASSES = ["background", "left", "right"]


@pytest.mark.parametrize("model", MODELS)
def test_a_network_learns_where_a_bright_square_is(model: str) -> None:
    torch.manual_seed(0)
    overrides = ["+experiment=segmentation", f"model={model}", "image.size=[64,64]"]
    task = build_task(compose_config(overrides, PROJECT), CLASSES)
    images = torch.randint(0, 60, (4, 3, 64, 64), dtype=torch.uint8)
    mask = torch.zeros(4, 64, 64, dtype=torch.int64)
    for index, label in enumerate([1, 2, 1, 2]):
        columns = slice(4, 28) if label == 1 else slice(36, 60)
        images[index, :, 16:48, columns] += 150
        mask[index, 16:48, columns] = label
    batch = {"image": images, "mask": mask, "id": list("abcd")}
    optimizer = torch.optim.AdamW(task.parameters(), lr=5e-3)
    losses = []
    for _ in range(8):
        terms = task.losses(task.model(task.normalize(images)), batch)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    probabilities = task.predict(images)["probabilities"]
    assert probabilities.shape == (4, 3, 64, 64)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(4, 64, 64), atol=1e-5)


def test_a_fully_convolutional_network_takes_any_size() -> None:
    task = build_task(compose_config(["+experiment=segmentation", "model=fcn8"], PROJECT), CLASSES)
    images = torch.zeros(1, 3, 50, 75, dtype=torch.uint8)
    assert task.predict(images)["probabilities"].shape == (1, 3, 50, 75)


@pytest.mark.parametrize("architecture", ["manet", "pspnet", "pan", "deeplabv3", "upernet", "dpt"])
def test_other_architectures_are_built(architecture: str) -> None:
    encoder = "tu-test_vit" if architecture == "dpt" else "resnet18"
    size = {"dpt": 160, "pan": 128}.get(architecture, 64)
    network = smp_model(3, architecture=architecture, encoder=encoder).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, size, size)).shape == (1, 3, size, size)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"architecture": "unett"}, "'unett'.* 'unet'"),
        ({"encoder": "resnet1"}, "'resnet1'.* Did you mean 'resnet1"),
        ({"encoder": "tu-test_resnt"}, "'test_resnt'. Did you mean test_resnet"),
        ({"decoder_chanels": [1]}, "model.decoder_chanels .*'unet'.* 'decoder_channels'"),
        ({"decoder_channels": [1, 2]}, "'unet' .*decoder_channels.* for 2 blocks"),
        ({"weights": "hub"}, "'resnet18' can't be had .*weights=PATH.*weights=null"),
    ],
)
def test_what_a_network_is_not_is_named(
    given: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ViewfinderError, match=named) as caught:
        smp_model(3, **({"architecture": "unet", "encoder": "resnet18"} | given))
    assert len(str(caught.value)) < 700


def test_a_backbone_without_the_features_is_refused() -> None:
    config = compose_config(
        ["+experiment=segmentation", "model=fcn8", "model.backbone=test_vit"], PROJECT
    )
    with pytest.raises(ViewfinderError, match=r"test_vit has features at strides .*; needed: \[8"):
        build_task(config, CLASSES)
