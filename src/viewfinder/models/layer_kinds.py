"""The kinds of layers that a network's list may hold.

Each function takes the shape of its input, the layer's value and its options, and returns the
modules with the shape of their output. Shapes are (channels, height, width) for maps and
(features,) for vectors.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from torch import Tensor, nn

from viewfinder.models.layer_shapes import (
    Shape,
    UnfitLayerError,
    as_count,
    as_maps,
    as_pair,
    describe_shape,
    outputs,
    sides,
    slide_over,
    zero_padding,
)
from viewfinder.models.windows import Padding

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Built(NamedTuple):
    """A layer's modules and the shape of its output."""

    modules: list[nn.Module]
    output: Shape


class Rescale(nn.Module):
    """Multiplies by one number and adds another."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, values: Tensor) -> Tensor:
        """Map values of any shape to rescaled ones."""
        return values * self.scale + self.offset


def conv(
    shape: Shape,
    filters: int,
    /,
    *,
    kernel: int | Sequence[int] = 3,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    activation: str | None = None,
    bias: bool = True,
) -> Built:
    """Convolve: each filter looks at all channels."""
    channels = as_maps(shape)[0]
    filters = as_count(filters, "its number of filters")
    sizes, steps = as_pair(kernel, "kernel"), as_pair(stride, "stride")
    windows = slide_over(shape, sizes, steps, padding, "kernel")
    pad, inner = zero_padding(windows)
    module = nn.Conv2d(channels, filters, sizes, steps, inner, bias=bias)
    return Built([*pad, module, *_activation(activation)], (filters, *outputs(windows)))


def separable_conv(
    shape: Shape,
    filters: int,
    /,
    *,
    kernel: int | Sequence[int] = 3,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    activation: str | None = None,
    bias: bool = True,
) -> Built:
    """Convolve each channel by itself, then mix the channels pixel by pixel."""
    channels = as_maps(shape)[0]
    filters = as_count(filters, "its number of filters")
    sizes, steps = as_pair(kernel, "kernel"), as_pair(stride, "stride")
    windows = slide_over(shape, sizes, steps, padding, "kernel")
    pad, inner = zero_padding(windows)
    depthwise = nn.Conv2d(channels, channels, sizes, steps, inner, groups=channels, bias=False)
    pointwise = nn.Conv2d(channels, filters, 1, bias=bias)
    modules = [*pad, depthwise, pointwise, *_activation(activation)]
    return Built(modules, (filters, *outputs(windows)))


def max_pool(
    shape: Shape,
    size: int | Sequence[int],
    /,
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
) -> Built:
    """Keep the largest value of each window; the stride is the window's size if not given."""
    sizes = as_pair(size, "its size")
    steps = sizes if stride is None else as_pair(stride, "stride")
    windows = slide_over(shape, sizes, steps, padding, "window")
    pool = nn.MaxPool2d(sizes, steps)
    # Every window holds a border pixel next to its padding, so that repeating it changes nothing.
    pad = [nn.ReplicationPad2d(sides(windows))] if any(sides(windows)) else []
    return Built([*pad, pool], (shape[0], *outputs(windows)))


def average_pool(
    shape: Shape,
    size: int | Sequence[int],
    /,
    *,
    stride: int | Sequence[int] | None = None,
) -> Built:
    """Average each window, without padding; the stride is the window's size if not given."""
    sizes = as_pair(size, "its size")
    steps = sizes if stride is None else as_pair(stride, "stride")
    windows = slide_over(shape, sizes, steps, "valid", "window")
    return Built([nn.AvgPool2d(sizes, steps)], (shape[0], *outputs(windows)))


def global_average_pool(shape: Shape, /) -> Built:
    """Average each channel over the whole map, to a vector."""
    return Built([nn.AdaptiveAvgPool2d(1), nn.Flatten()], (as_maps(shape)[0],))


def flatten(shape: Shape, /) -> Built:
    """Put all values in one row."""
    channels, height, width = as_maps(shape)
    return Built([nn.Flatten()], (channels * height * width,))


def dense(
    shape: Shape, units: int, /, *, activation: str | None = None, bias: bool = True
) -> Built:
    """Connect every value to every unit."""
    if len(shape) != 1:
        raise UnfitLayerError(
            f"its input is {describe_shape(shape)}, but it takes a vector. "
            "Put `flatten` or `global_average_pool` before it"
        )
    units = as_count(units, "its number of units")
    module = nn.Linear(shape[0], units, bias=bias)
    return Built([module, *_activation(activation)], (units,))


def dropout(shape: Shape, rate: float, /) -> Built:
    """Set a share of the values to 0 while training."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise UnfitLayerError(f"its rate is {rate!r}; expected a number from 0 to below 1")
    return Built([nn.Dropout(rate)], shape)


def batch_norm(shape: Shape, /, *, momentum: float = 0.1, epsilon: float = 1e-5) -> Built:
    """Normalise each channel over the batch; ``momentum`` is the share of the newest batch."""
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return Built([kind(shape[0], eps=epsilon, momentum=momentum)], shape)


def activation(shape: Shape, name: str, /) -> Built:
    """Apply a function to each value."""
    return Built(_activation(name), shape)


def rescale(shape: Shape, scale: float | str, /, *, offset: float = 0.0) -> Built:
    """Multiply by a number, which may be a fraction such as 1/255."""
    try:
        factor = float(Fraction(scale) if isinstance(scale, str) else scale)
    except (TypeError, ValueError, ZeroDivisionError):
        raise UnfitLayerError(
            f"its scale is {scale!r}; expected a number or a fraction such as 1/255"
        ) from None
    return Built([Rescale(factor, offset)], shape)


KINDS: dict[str, Callable[..., Built]] = {
    kind.__name__: kind
    for kind in (
        conv,
        separable_conv,
        max_pool,
        average_pool,
        global_average_pool,
        flatten,
        dense,
        dropout,
        batch_norm,
        activation,
        rescale,
    )
}


def _activation(name: str | None) -> list[nn.Module]:
    if name is None:
        return []
    if name not in ACTIVATIONS:
        hint = ". The task applies it itself: leave it out" if name == "softmax" else ""
        raise UnfitLayerError(
            f"its activation is {name!r}; expected {', '.join(ACTIVATIONS)}{hint}"
        )
    return [ACTIVATIONS[name]()]
