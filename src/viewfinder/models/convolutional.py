"""Networks for images of one size, turned into networks that slide over larger ones.

Source: P. Sermanet and others, OverFeat: Integrated Recognition, Localization and Detection using
Convolutional Networks, ICLR 2014.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.errors import ViewfinderError
from viewfinder.models.layer_kinds import Rescale

Shape = tuple[int, int, int]

_POOLS = (nn.MaxPool2d, nn.AvgPool2d)
_BY_VALUE = (
    nn.ELU,
    nn.GELU,
    nn.LeakyReLU,
    nn.ReLU,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Identity,
    Rescale,
)


class Convolutional(nn.Module):
    """Gives for each window of an image what a network gives for that window alone.

    A dense layer is a convolution whose kernel is as large as the map below it. The layers keep
    their weights in the shape that they had, so that a state dict fits either form.

    Args:
        layers: The network: convolutions and poolings without padding, then ``nn.Flatten`` and
            dense layers.
        window: Channels, height and width of its input.

    Attributes:
        stride: Pixels between neighbouring windows, down and across.

    Raises:
        ViewfinderError: If a layer has padding, or has no form that slides.
    """

    def __init__(self, layers: Iterable[nn.Module], window: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.window = window[1:]
        self.stride = (1, 1)
        self._kernels: list[tuple[int, int] | None] = []
        values = torch.zeros(1, *window)
        for number, layer in enumerate(self.layers, 1):
            self._kernels.append(self._kernel(layer, f"layer {number}", values))
            with torch.no_grad():
                values = self._sliding(layer, self._kernels[-1])(values)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, H, W] to [B, D, rows, columns], one place for each whole window."""
        rows, columns = (
            (side - window) // step + 1
            for side, window, step in zip(images.shape[-2:], self.window, self.stride, strict=True)
        )
        for layer, kernel in zip(self.layers, self._kernels, strict=True):
            images = self._sliding(layer, kernel)(images)
        # Pooling may leave out the last pixels of a window, and then a part of one fits too.
        return images[..., :rows, :columns]

    def _kernel(self, layer: nn.Module, place: str, values: Tensor) -> tuple[int, int] | None:
        """Check a layer, and return the kernel of the convolution that it becomes, if it does."""
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            _refuse_padding(layer, place)
            steps = _pair(layer.stride)
            self.stride = (self.stride[0] * steps[0], self.stride[1] * steps[1])
        height, width = values.shape[-2:]
        if isinstance(layer, nn.Linear):
            whole = layer.in_features == values.shape[1] * height * width
            return (height, width) if whole else (1, 1)
        known = (nn.Conv2d, *_POOLS, nn.BatchNorm2d, nn.Flatten, nn.Dropout, *_BY_VALUE)
        if not isinstance(layer, known):
            raise ViewfinderError(
                f"{place}, {type(layer).__name__}, can't slide over larger images. "
                "Build model.layers of conv and max_pool with `padding: valid`, batch_norm before "
                "flatten, dense and dropout."
            )
        return None

    @staticmethod
    def _sliding(layer: nn.Module, kernel: tuple[int, int] | None) -> Callable[[Tensor], Tensor]:
        if isinstance(layer, nn.Linear):
            assert kernel is not None
            return lambda values: F.conv2d(
                values, layer.weight.reshape(layer.out_features, -1, *kernel), layer.bias
            )
        if isinstance(layer, nn.Flatten):
            return lambda values: values
        return layer


def _refuse_padding(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, place: str) -> None:
    if any(side != 0 for side in _pair(layer.padding)):
        raise ViewfinderError(
            f"{place}, {type(layer).__name__}, has a padding of {layer.padding}: what it gives "
            "for a window would depend on the image around it. Set `padding: valid`."
        )


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    assert isinstance(value, tuple)
    first, second = value
    return first, second
