"""Networks from lists of layers: the lectures' arithmetic, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from viewfinder.config import compose_config
from viewfinder.errors import ViewfinderError
from viewfinder.models.layers import LayerNetwork

ROOT = Path(__file__).parents[1]
HEAD = ("flatten", {"dense": "classes"})


def network(*layers: Any, size: tuple[int, int] = (8, 8), channels: int = 3) -> LayerNetwork:
    return LayerNetwork(4, layers=layers, image_size=size, in_channels=channels)


def named(name: str, side: int, channels: int, classes: int) -> LayerNetwork:
    """Build one of the named networks from conf/model."""
    overrides = [f"model={name}", f"image.size=[{side},{side}]", f"image.channels={channels}"]
    config = compose_config(overrides, ROOT)
    return instantiate(config.model, num_classes=classes, _convert_="all")


def sizes(built: LayerNetwork) -> list[tuple[int, ...]]:
    return [step.output for step in built.steps]


def parameters(built: LayerNetwork) -> int:
    return sum(step.parameters for step in built.steps)


def refusal(*layers: Any, **options: Any) -> str:
    with pytest.raises(ViewfinderError) as caught:
        network(*layers, **options)
    return str(caught.value)


def test_a_convolution_of_200_5x5_filters_on_rgb_has_15200_parameters() -> None:
    layer = {"conv": 200, "kernel": 5, "stride": 2, "padding": "same"}
    built = network(layer, "global_average_pool", {"dense": "classes"}, size=(300, 200))
    first = built.steps[0]
    assert first.parameters == (5 * 5 * 3 + 1) * 200 == 15_200
    assert first.output == (200, 150, 100)
    assert first.bytes() == 12_000_000
    assert first.bytes(batch_size=100) == 1_200_000_000


@pytest.mark.parametrize("side", [7, 8, 13])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", ["conv", "separable_conv", "max_pool"])
def test_output_sizes(kind: str, side: int, kernel: int, stride: int, padding: str) -> None:
    options = {"stride": stride, "padding": padding}
    layer = {kind: kernel} if kind == "max_pool" else {kind: 3, "kernel": kernel}
    built = network({**layer, **options}, *HEAD, size=(side, 10))
    expected = -(-side // stride) if padding == "same" else (side - kernel) // stride + 1
    assert built.steps[0].output[:2] == (3, expected)
    assert built(torch.zeros(2, 3, side, 10)).shape == (2, 4)


def weighted(kernel: int, stride: int, padding: str, values: Tensor) -> Tensor:
    """Convolve with weights 1, 10, 100 … from left to right, so that sums tell places."""
    layer = {"conv": 1, "kernel": [1, kernel], "stride": stride, "padding": padding, "bias": False}
    built = network(layer, *HEAD, size=(1, values.numel()), channels=1)
    conv = next(module for module in built.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        conv.weight.copy_(10.0 ** torch.arange(kernel).view(1, 1, 1, -1))
        layers = built.layers[: 1 + list(built.layers).index(conv)]
        return layers(values.view(1, 1, 1, -1)).flatten()


def test_same_padding_puts_the_odd_pixel_behind() -> None:
    # TensorFlow's example: 13 wide, filter 6, stride 5 pads 1 before and 2 behind.
    found = weighted(6, 5, "same", torch.ones(13))
    assert found.tolist() == [111110, 111111, 1111]
    assert weighted(6, 5, "valid", torch.ones(13)).tolist() == [111111, 111111]


def test_padding_of_a_pool_never_wins() -> None:
    built = network({"max_pool": 3, "stride": 2, "padding": "same"}, *HEAD)
    values = -torch.arange(1.0, 65).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    pooled = built.layers[:2](values)
    assert pooled.shape == (1, 3, 4, 4)
    assert pooled[0, 0, 0].tolist() == [-1, -3, -5, -7]
    assert pooled[0, 0, 3, 3] == -55


def test_the_28x28_network() -> None:
    built = named("mnist_cnn", 28, channels=1, classes=10)
    assert parameters(built) == 104_202
    assert [step.parameters for step in built.steps if step.parameters] == [
        320,
        18_496,
        73_856,
        11_530,
    ]
    assert sizes(built) == [
        (32, 26, 26),
        (32, 13, 13),
        (64, 11, 11),
        (64, 5, 5),
        (128, 3, 3),
        (1152,),
        (10,),
    ]


def test_the_cats_and_dogs_network() -> None:
    built = named("cats_vs_dogs_cnn", 180, channels=3, classes=1)
    assert parameters(built) == 991_041
    assert [size[1] for size in sizes(built)[1:10]] == [178, 89, 87, 43, 41, 20, 18, 9, 7]
    assert sizes(built)[10] == (12_544,)
    assert parameters(named("cats_vs_dogs_cnn", 180, channels=3, classes=2)) == 991_041 + 12_545


def test_the_cats_and_dogs_network_rescales_pixels_itself() -> None:
    built = named("cats_vs_dogs_cnn", 180, channels=3, classes=2)
    assert built.layers[0](torch.tensor([0.0, 51.0, 255.0])).tolist() == pytest.approx([0, 0.2, 1])


def test_the_clothes_network() -> None:
    built = named("fashion_mnist_cnn", 28, channels=1, classes=10)
    convolutions = [3_200, 73_856, 147_584, 295_168, 590_080]
    dense = [(2_304 + 1) * 128, (128 + 1) * 64, (64 + 1) * 10]
    assert [step.parameters for step in built.steps if step.parameters] == convolutions + dense
    assert [size[1] for size in sizes(built)[:8]] == [28, 14, 14, 14, 7, 7, 7, 3]


def test_the_small_lenet() -> None:
    built = named("lenet", 28, channels=1, classes=2)
    assert sizes(built) == [
        (20, 28, 28),
        (20, 14, 14),
        (50, 14, 14),
        (50, 7, 7),
        (2450,),
        (500,),
        (2,),
    ]
    assert parameters(built) == 520 + 25_050 + 1_225_500 + 1_002


def test_the_small_xception() -> None:
    built = named("mini_xception", 180, channels=3, classes=1)
    assert parameters(built) == 721_857
    blocks = [step.output for step in built.steps if "residual" in step.title]
    assert blocks == [(32, 88, 88), (64, 44, 44), (128, 22, 22), (256, 11, 11), (512, 6, 6)]
    small = named("mini_xception", 36, channels=3, classes=3)
    assert small.eval()(torch.zeros(2, 3, 36, 36)).shape == (2, 3)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels(channels: int) -> None:
    built = network({"conv": 2}, *HEAD, channels=channels)
    assert built(torch.zeros(1, channels, 8, 8)).shape == (1, 4)


def test_a_residual_block_adds_its_input() -> None:
    body = [{"conv": 3, "kernel": 1, "bias": False}]
    built = network({"residual": body}, *HEAD)
    block = built.layers[0]
    with torch.no_grad():
        block.body[0].weight.zero_()
        values = torch.rand(2, 3, 8, 8)
        assert torch.equal(block(values), values)


def test_dropout_and_batch_norm_work_on_vectors() -> None:
    built = network("flatten", "batch_norm", {"dropout": 0.5}, {"dense": "classes"})
    assert built.train()(torch.rand(4, 3, 8, 8)).shape == (4, 4)
    assert built.steps[1].parameters == 4 * 192


def test_a_map_that_became_too_small_is_refused_by_layer() -> None:
    pools = [{"max_pool": 2}] * 2
    message = refusal({"conv": 8, "padding": "same"}, *pools, {"conv": 128}, *HEAD)
    assert message.startswith("layer 4, conv 128: its input is 2x2, smaller than its 3x3 kernel")
    assert "padding: same" in message


@pytest.mark.parametrize(
    ("layers", "parts"),
    [
        ([{"cnv": 3}], ["layer 1 is 'cnv'", "separable_conv", "Did you mean 'conv'?"]),
        ([{"conv": 3, "kernl": 3}], ["layer 1, conv 3", "'kernl'", "stride", "'kernel'?"]),
        ([{"conv": 0}], ["layer 1, conv 0", "its number of filters is 0"]),
        ([{"conv": "many"}], ["its number of filters is 'many'"]),
        ([{"conv": None}], ["layer 1, conv needs its filters"]),
        ([{"conv": 3, "kernel": [1, 2, 3]}], ["kernel is [1, 2, 3]", "[height, width]"]),
        ([{"conv": 3, "padding": "full"}], ["its padding is 'full'", "valid or same"]),
        ([{"conv": 3, "activation": "softmax"}], ["'softmax'", "relu", "leave it out"]),
        ([{"flatten": 3}], ["layer 1, flatten 3 takes no value, but has 3"]),
        ([{"dense": 3}], ["layer 1, dense 3", "8x8 with 3 channels", "flatten"]),
        (["flatten", {"conv": 3}], ["layer 2, conv 3", "a vector of 192"]),
        ([{"dropout": 1.5}], ["its rate is 1.5"]),
        ([{"rescale": "1/0"}], ["its scale is '1/0'", "1/255"]),
        ([{"max_pool": 9}], ["its input is 8x8, smaller than its 9x9 window"]),
        ([{"residual": 3}], ["layer 1, residual holds 3"]),
        ([{"residual": [{"conv": 3}, {"cnv": 3}]}], ["layer 1, residual, layer 2 is 'cnv'"]),
        ([{"residual": [{"conv": 5}]}], ["8x8 with 3 channels", "6x6 with 5 channels", "same"]),
        ([{"residual": ["flatten"]}], ["a vector of 192", "can't be added"]),
        ([{"conv": 3}], ["The last of 1 layers gives 6x6 with 3 channels", "4 classes"]),
        (["flatten", {"dense": 9}], ["gives a vector of 9", "dense: classes"]),
        ([], ["The last of 0 layers"]),
        ([3], ["layer 1 is 3"]),
    ],
)
def test_a_wrong_list_is_refused_by_layer(layers: list[Any], parts: list[str]) -> None:
    message = refusal(*layers)
    for part in parts:
        assert part in message
