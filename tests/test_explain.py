"""A look inside networks: what is pointed at, measured and drawn agrees with what is true."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.data.sources.digit_scenes import SceneStyle, draw_scene
from viewfinder.data.sources.digits import CLASSES
from viewfinder.errors import ViewfinderError
from viewfinder.explain import Subject, look_inside, subjects_of_batch
from viewfinder.explain.activations import read_activations
from viewfinder.explain.class_activation import Heat, explain_image
from viewfinder.explain.filters import exciting_pictures
from viewfinder.explain.layer_listing import write_layers
from viewfinder.explain.layer_table import LayerRow, layer_table
from viewfinder.explain.lecture_kernels import KERNELS, apply_kernel
from viewfinder.models.layers import LayerNetwork
from viewfinder.models.timm_models import timm_classifier
from viewfinder.tasks import Classification, VisionTask

ROOT = Path(__file__).parents[1]
NAMES = list(CLASSES)
SIDE = 48  # pixels
MIB = 2**20


def classifier(network: nn.Module, classes: int = 10) -> Classification:
    return Classification(network, NAMES[:classes], mean=[0.5] * 3, std=[0.25] * 3).eval()


def block(filters: int) -> list[Any]:
    conv = {"conv": filters, "kernel": 3, "padding": "same", "bias": False}
    return [conv, "batch_norm", {"activation": "relu"}]


def small_network() -> LayerNetwork:
    torch.manual_seed(0)
    layers = [*block(16), {"max_pool": 2}, *block(32), {"max_pool": 2}, *block(64)]
    head = ["global_average_pool", {"dense": "classes"}]
    return LayerNetwork(10, layers=[*layers, *head], image_size=(SIDE, SIDE))


def scenes(split: Any, count: int) -> tuple[Tensor, Tensor, NDArray[np.float32]]:
    """Return images of one digit on a texture, their classes and boxes."""
    style = SceneStyle(size=SIDE, digits=(1, 1), digit_size=(16, 24))
    drawn = [draw_scene(3, split, index, style) for index in range(count)]
    images = np.stack([scene.image[..., ::-1] for scene in drawn]).transpose(0, 3, 1, 2)
    boxes = []
    for scene in drawn:
        rows, columns = np.nonzero(scene.masks[0])
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    labels = torch.tensor([scene.labels[0] for scene in drawn])
    return torch.from_numpy(images.copy()), labels, np.array(boxes, np.float32)


@pytest.fixture(scope="module")
def trained() -> Classification:
    """A small network after ten epochs, far better than chance."""
    images, labels, _ = scenes("train", 800)
    task = classifier(small_network()).train()
    optimizer = torch.optim.AdamW(task.parameters(), 8e-3)
    steps = [part for _ in range(10) for part in torch.randperm(800).split(32)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=len(steps))
    for chosen in steps:
        loss = F.cross_entropy(task.model(task.normalize(images[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return task.eval()


def hit_rates(task: VisionTask) -> dict[str, float]:
    """Return for each method how often its heatmap's maximum lies in the object's box."""
    images, _, boxes = scenes("test", 60)
    hits: dict[str, list[bool]] = {}
    for image, box in zip(images, boxes, strict=True):
        for name, heat in explain_image(task, image).maps.items():
            hits.setdefault(name, []).append(points_into(heat, box))
    return {name: float(np.mean(found)) for name, found in hits.items()}


def points_into(heat: Heat, box: NDArray[np.float32]) -> bool:
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return bool(box[0] <= column < box[2] and box[1] <= row < box[3])


def test_heatmaps_of_a_trained_network_point_at_the_object_those_of_a_random_one_do_not(
    trained: Classification,
) -> None:
    found, by_chance = hit_rates(trained), hit_rates(classifier(small_network()))
    assert list(found) == ["Grad-CAM", "Score-CAM"]
    for name, rate in found.items():
        assert rate >= 0.75
        assert rate >= by_chance[name] + 0.2


def test_a_heatmap_by_each_method_that_is_asked_for(trained: Classification) -> None:
    image = scenes("test", 1)[0][0]
    usual = explain_image(trained, image).maps
    chosen = explain_image(trained, image, cams=["score-cam", "hirescam"]).maps
    assert list(chosen) == ["Score-CAM", "HiResCAM"]
    np.testing.assert_allclose(chosen["Score-CAM"], usual["Score-CAM"], atol=1e-5)
    assert chosen["HiResCAM"].any()


def test_grad_cam_is_the_gradient_times_the_maps(trained: Classification) -> None:
    image = scenes("test", 1)[0][0]
    found = explain_image(trained, image)
    network: Any = trained.model
    maps = network.layers[:11](trained.normalize(image[None])).detach().requires_grad_()
    logits = network.layers[11:](maps)
    assert found.layer == "layers.10"
    assert found.target.label == int(logits.argmax())
    (gradient,) = torch.autograd.grad(logits.max(), maps)
    expected = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1).relu()[0].detach()
    small = torch.from_numpy(found.maps["Grad-CAM"])[2::4, 2::4]  # 48 x 48, grown from 12 x 12
    assert np.corrcoef(small.flatten(), expected.flatten())[0, 1] > 0.97


RECIPES = {
    "localization": ("localization", "image.size=[64,64]"),
    "multilabel": ("multilabel", "image.size=[64,64]", "model.name=test_vit"),
    "segmentation": ("segmentation", "image.size=[64,64]"),
    "fcos": ("detection", "image.size=[64,64]"),
    "yolo": ("digits_yolo_grid", "image.size=[64,64]"),
    "faster_rcnn": ("detection", "image.size=[64,64]", "model=faster_rcnn"),
    "mask_rcnn": ("instances", "image.size=[64,64]"),
    "sliding": ("fcn_sliding_digits", "image.size=[64,64]"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_task_has_heatmaps(recipe: str) -> None:
    torch.manual_seed(2)
    name, *overrides = RECIPES[recipe]
    config = compose_config([f"+experiment={name}", *overrides], ROOT)
    OmegaConf.resolve(config)
    classes = ["background", *NAMES[:3]]
    task = build_task(config, classes).eval()
    image = torch.randint(0, 256, (config.image.channels, 64, 64), dtype=torch.uint8)
    found = explain_image(task, image)
    for heat in found.maps.values():
        assert heat.shape == (64, 64)
        assert np.isfinite(heat).all()
        assert 0 <= heat.min() <= heat.max() <= 1
    assert any(heat.any() for heat in found.maps.values())
    predicted = task.predict(image[None])
    if recipe == "segmentation":
        areas = predicted["probabilities"][0].argmax(dim=0).flatten().bincount(minlength=4)
        assert found.target.label == int(areas[1:].argmax()) + 1
    elif "scores" not in predicted:
        assert found.target.label == int(predicted["probabilities"][0].argmax())
    elif predicted["scores"][0, 0] > 0:
        assert found.target.label == int(predicted["labels"][0, 0])
        assert found.target.score == pytest.approx(float(predicted["scores"][0, 0]), abs=1e-5)
    assert all(parameter.grad is None for parameter in task.parameters())


def test_an_unknown_layer_is_answered_with_near_names(trained: Classification) -> None:
    with pytest.raises(ViewfinderError, match=r"no layer 'layer\.3'\. Did you mean 'layers\.3'\?"):
        explain_image(trained, torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), "layer.3")


def test_a_layer_without_maps_is_refused(trained: Classification) -> None:
    with pytest.raises(ViewfinderError, match=r"'layers\.12' gives \(1, 64\).*layers\.10"):
        explain_image(trained, torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), "layers.12")


def test_what_a_network_has_nothing_for_is_left_out_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = classifier(
        LayerNetwork(10, layers=["flatten", {"dense": "classes"}], image_size=(SIDE, SIDE))
    )
    subject = Subject("black", torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), np.zeros((0, 4)))
    rows = look_inside(task, [subject], tmp_path, name="dense")
    assert sum(row.parameters for row in rows) == 3 * SIDE * SIDE * 10 + 10
    assert {path.name for path in tmp_path.iterdir()} == {"layers.csv", "lecture_kernels.png"}
    printed = capsys.readouterr().out
    for part, message in (
        ("heatmaps", "no layer with feature maps"),
        ("activations", "no activations"),
        ("filters", "no convolution"),
    ):
        assert f"Left out {part}: " in printed
        with pytest.raises(ViewfinderError, match=f"{message}.* Leave out --only {part}"):
            look_inside(task, [subject], tmp_path, name="dense", parts=(part,))  # type: ignore[arg-type]


def test_transformer_tokens_become_maps() -> None:
    task = classifier(timm_classifier(3, name="test_vit", image_size=(64, 64)), 3)
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    assert explain_image(task, image).layer.startswith("blocks.")
    recorded = {layer.name: layer for layer in read_activations(task, image)}
    kept: list[Tensor] = []
    network: Any = task.model
    network.norm.register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        network(task.normalize(image[None]))
    before = network.num_prefix_tokens
    assert before == 1
    rows = kept[0][0, before:].reshape(4, 4, -1).permute(2, 0, 1)
    assert np.allclose(recorded["norm"].maps, rows, atol=1e-5)


def measured(network: nn.Module, pixels: Tensor) -> dict[str, list[Tensor]]:
    """Return what forward hooks see of the layers without layers inside them."""
    seen: dict[str, list[Tensor]] = {}
    for name, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: seen.setdefault(name, []).append(output)
            )
    with torch.no_grad():
        network(pixels)
    return seen


def test_the_layer_table_is_what_hooks_measure(tmp_path: Path) -> None:
    config = compose_config(["+experiment=detection", "image.size=[64,64]"], ROOT)
    OmegaConf.resolve(config)
    task = build_task(config, NAMES).eval()
    rows = layer_table(task, (64, 64))
    seen = measured(task.model, torch.zeros(4, 3, 64, 64))
    by_name = {row.name: row for row in rows}
    assert any(len(outputs) > 1 for outputs in seen.values())
    for name, outputs in seen.items():
        if isinstance(task.model.get_submodule(name), nn.Identity) and name not in by_name:
            continue  # it passes on memory that is counted already
        assert by_name[name].output == tuple(tuple(values.shape[1:]) for values in outputs)
        assert 4 * by_name[name].bytes == sum(
            values.numel() * values.element_size() for values in outputs
        )
    assert sum(row.parameters for row in rows) == sum(
        values.numel() for values in task.model.parameters()
    )
    write_layers(tmp_path / "layers.csv", rows, 4)
    *written, total = csv.DictReader((tmp_path / "layers.csv").open())
    assert len(written) == len(rows)
    storages = {
        values.untyped_storage().data_ptr(): values.numel() * values.element_size()
        for outputs in seen.values()
        for values in outputs
    }
    assert float(total["mib_for_batch_of_4"]) == pytest.approx(
        sum(storages.values()) / MIB, rel=1e-3
    )


def test_the_lectures_arithmetic() -> None:
    """Of 200 kernels of 5 x 5 on 3 channels: 15,200 parameters; 200 maps of 150 x 100 are 12 MB."""
    network = LayerNetwork(
        10,
        layers=[
            {"conv": 200, "kernel": 5, "padding": "same", "stride": 2},
            "global_average_pool",
            {"dense": "classes"},
        ],
        image_size=(300, 200),
    )
    first = next(row for row in layer_table(classifier(network), (300, 200)) if row.parameters)
    assert (first.output, first.parameters) == (((200, 150, 100),), 15_200)
    assert first.bytes == 12_000_000
    assert first.multiply_adds == 200 * 150 * 100 * 5 * 5 * 3
    assert first.field == (5, 5)


def test_attention_counts_too() -> None:
    """Products of queries with keys and of weights with values belong to no layer of their own."""
    task = classifier(timm_classifier(3, name="test_vit", image_size=(64, 64)), 3)
    rows = layer_table(task, (64, 64))
    network: Any = task.model
    tokens, width, blocks = 17, network.embed_dim, len(network.blocks)
    by_name = {row.name: row for row in rows}
    assert by_name["(others)"].multiply_adds == blocks * 2 * tokens**2 * width
    assert by_name["(others)"].parameters == network.cls_token.numel() + network.pos_embed.numel()
    assert by_name["blocks.0.attn.qkv"].multiply_adds == tokens * width * 3 * width
    assert by_name["patch_embed.proj"].field == (16, 16)
    assert by_name["blocks.5.mlp.fc1"].field == (64, 64)


class Summed(nn.Module):
    """Two ways of different reach, and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.narrow = nn.Conv2d(4, 4, 1)
        self.wide = nn.Conv2d(4, 4, (5, 3), dilation=(1, 2), padding=(2, 2))
        self.act = nn.ReLU()
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.last = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        values = self.pool(self.stem(images))
        return self.last(self.up(self.act(self.narrow(values) + self.wide(values))))


def seen_by_gradient(network: nn.Module, name: str, side: int) -> tuple[int, int]:
    """Return height and width of the pixels that move a value in the middle of a layer's output.

    Of neighbouring values, which lie differently on coarser grids, the one that sees most counts.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(0.1)  # so that nothing cancels out or is cut off
    kept: list[Tensor] = []
    handle = network.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    images = torch.ones(1, 3, side, side, requires_grad=True)
    network(images)
    handle.remove()
    height, width = (length // 2 for length in kept[0].shape[-2:])
    sizes = []
    for row in (height, height + 1):
        for column in (width, width + 1):
            (moved,) = torch.autograd.grad(
                kept[0][0, :, row, column].sum(), images, retain_graph=True
            )
            touched = moved[0].abs().amax(dim=0) > 0
            rows, columns = touched.nonzero().unbind(dim=1)
            sizes.append((int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1))
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def test_receptive_fields_are_what_gradients_measure() -> None:
    torch.manual_seed(0)
    network = Summed()
    fields = {row.name: row.field for row in layer_table(classifier(network), (96, 96))}
    for name in fields:
        assert fields[name] == seen_by_gradient(network, name, 96), name
    assert fields["wide"] == (21, 21)


def test_receptive_field_of_a_published_network() -> None:
    """Araujo, Norris, Sim (Distill 2019) give 435 pixels for ResNet-18."""
    rows = layer_table(classifier(timm_classifier(3, name="resnet18"), 3), (64, 64))
    last = [row for row in rows if row.name.startswith("layer4")][-1]
    assert last.field == (435, 435)


def test_a_silent_channel_is_counted_and_drawn(trained: Classification, tmp_path: Path) -> None:
    images, labels, boxes = scenes("test", 2)
    task = classifier(small_network())
    task.load_state_dict(trained.state_dict())
    norm: Any = task.model.get_submodule("layers.1")
    with torch.no_grad():
        norm.bias[:4] = -100  # which its ReLU cuts off
    batch = {"id": ["a", "b"], "image": images, "label": labels, "box": torch.from_numpy(boxes)}
    look_inside(
        task, subjects_of_batch(batch), tmp_path, name="small", parts=("activations", "heatmaps")
    )
    rows = list(csv.DictReader((tmp_path / "silent_channels.csv").open()))
    by_layer = {row["layer"]: row for row in rows}
    assert (by_layer["layers.2"]["silent"], by_layer["layers.2"]["channels"]) == ("4", "16")
    assert float(by_layer["layers.2"]["share"]) == 0.25
    assert by_layer["layers.0"]["silent"] == "0"
    files = sorted(path.name for path in (tmp_path / "activations").iterdir())
    assert files == sorted(f"{int(row['depth']):02d}_{row['layer']}.png" for row in rows)
    drawn = np.asarray(Image.open(tmp_path / "activations" / "03_layers.2.png").convert("RGB"))
    assert (drawn == 225).all(axis=2).mean() > 0.1  # the grey of silent channels
    assert Image.open(tmp_path / "heatmaps.png").width > 700


def test_a_picture_is_found_that_excites_a_filter() -> None:
    network = LayerNetwork(
        10, layers=[{"conv": 3}, "flatten", {"dense": "classes"}], image_size=(32, 32)
    )
    with torch.no_grad():
        weight = network.layers[0].weight.zero_()
        weight[0, :, 1, 1] = torch.tensor([1.0, 0.0, -1.0])  # red without blue
        weight[1, :, 1, 1] = torch.tensor([-1.0, 1.0, 0.0])  # green without red
        network.layers[0].bias.zero_()
    (layer,) = exciting_pictures(classifier(network), (32, 32))
    assert (layer.name, layer.count, len(layer.pictures)) == ("layers.0", 3, 3)
    red, green = (picture.mean(axis=(0, 1)) for picture in layer.pictures[:2])
    assert red[0] > red[1] + 50 > red[2] + 100
    assert green[1] > green[2] + 50 > green[0] + 100
    assert np.ptp(layer.pictures[2]) == 0  # nothing excites it


def test_convolutions_whose_filters_are_shown_are_chosen_by_number_or_name(
    trained: Classification,
) -> None:
    def chosen(layers: Any) -> list[str]:
        found = exciting_pictures(trained, (SIDE, SIDE), layers=layers, filters=1, steps=1)
        return [layer.name for layer in found]

    assert chosen(1) == ["layers.0"]
    assert chosen(2) == ["layers.0", "layers.8"]
    assert chosen(["layers.8", "layers.4"]) == ["layers.4", "layers.8"]
    with pytest.raises(ViewfinderError, match=r"no convolution 'layers\.1'.*layers\.0, layers\.4"):
        chosen(["layers.1"])


def test_the_lectures_kernels_do_what_they_are_called() -> None:
    ramp = np.tile(np.arange(0, 60, 3, dtype=np.uint8), (20, 1))
    inside = (slice(1, -1), slice(1, -1))
    of_ramp = {name: apply_kernel(ramp, kernel)[inside] for name, kernel in KERNELS.items()}
    assert (of_ramp["Sobel x"] == 8 * 3).all()
    assert (of_ramp["Sobel y"] == 0).all()
    assert (of_ramp["Laplacian"] == 0).all()
    assert np.allclose(of_ramp["blur"], ramp[inside], atol=1e-3)
    assert (of_ramp["sharpen"] == ramp[inside]).all()
    assert (of_ramp["emboss"] == ramp[inside] + 6 * 3).all()  # brighter where it rises rightwards
    dot = np.zeros((5, 5), np.uint8)
    dot[2, 2] = 9
    assert np.allclose(apply_kernel(dot, KERNELS["blur"])[1:4, 1:4], 1)


def test_rows_say_what_a_layer_sees() -> None:
    row = LayerRow("conv", "Conv2d", ((3, 4, 5), (3, 2, 2)), 1, 2, (7.0, 9.0), 10, True)
    assert (row.shape, row.field_text) == ("3x4x5 + 3x2x2", "7x9")
