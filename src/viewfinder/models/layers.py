"""Networks built from a readable list of layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from math import prod
from typing import Any

from torch import Tensor, nn

from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.models.layer_kinds import KINDS, Built
from viewfinder.models.layer_shapes import Shape, UnfitLayerError, describe_shape

_CLASSES = "classes"
_RESIDUAL = "residual"
_FLOAT_BYTES = 4

Layer = str | Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One layer of a network.

    Attributes:
        title: Its number, kind and value.
        output: Shape of its output without the batch: (channels, height, width) or (features,).
        parameters: Number of its parameters, with statistics that are not trained.
    """

    title: str
    output: Shape
    parameters: int

    def bytes(self, batch_size: int = 1) -> int:
        """Return the memory that its output takes as float32, bytes."""
        return batch_size * prod(self.output) * _FLOAT_BYTES


class Residual(nn.Module):
    """Adds what layers make of their input to the input itself.

    Args:
        body: The layers.
        shortcut: What brings the input to the shape of their output.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, values: Tensor) -> Tensor:
        """Map values [B, ...] to the sum."""
        total: Tensor = self.body(values) + self.shortcut(values)
        return total


class LayerNetwork(nn.Module):
    """A network from a list of layers, each a mapping such as ``{conv: 32, activation: relu}``.

    The first key is the kind of layer and its value, the others are its options; a layer that
    needs neither may be a bare word. ``residual`` holds a list of layers of its own. The value
    ``classes`` stands for the number of classes.

    Args:
        num_classes: Number of classes.
        layers: The layers from first to last; the last gives one value a class.
        image_size: Height and width of the input, pixels.
        in_channels: Channels of the images.

    Attributes:
        steps: What each layer gives, residual blocks as one.

    Raises:
        ViewfinderError: If a layer does not exist or does not fit what comes into it.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        layers: Sequence[Layer],
        image_size: Sequence[int],
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        modules: list[nn.Module] = []
        shape: Shape = (in_channels, *image_size)
        for number, layer in enumerate(layers, 1):
            name, value, options = _parse(layer, f"layer {number}", num_classes)
            title = _title(f"layer {number}", name, value)
            built = _build(shape, name, value, options, title, num_classes)
            modules += built.modules
            shape = built.output
            self.steps.append(Step(title, shape, _count_parameters(built.modules)))
        if shape != (num_classes,):
            raise ViewfinderError(
                f"The last of {len(layers)} layers gives {describe_shape(shape)}, but there are "
                f"{num_classes} classes. End the list with `flatten` and `dense: {_CLASSES}`."
            )
        self.layers = nn.Sequential(*modules)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, in_channels, H, W] to class logits [B, C]."""
        logits: Tensor = self.layers(images)
        return logits


def _parse(layer: Layer, place: str, num_classes: int) -> tuple[str, Any, dict[str, Any]]:
    """Return a layer's kind, value and options."""
    if isinstance(layer, str):
        layer = {layer: None}
    if not isinstance(layer, Mapping) or not layer:
        raise ViewfinderError(
            f"{place} is {layer!r}; expected a mapping such as {{conv: 32, activation: relu}}."
        )
    (name, value), *rest = layer.items()
    known = [*KINDS, _RESIDUAL]
    if name not in known:
        raise ViewfinderError(
            f"{place} is {name!r}, which is no kind of layer. There are {', '.join(known)}; the "
            f"first key of a layer says which.{did_you_mean(str(name), known)}"
        )
    return name, num_classes if value == _CLASSES else value, dict(rest)


def _build(
    shape: Shape, name: str, value: Any, options: dict[str, Any], title: str, num_classes: int
) -> Built:
    if name == _RESIDUAL:
        if options:
            raise ViewfinderError(f"{title} takes no options, but has {', '.join(options)}.")
        return _residual(shape, value, title, num_classes)
    kind = KINDS[name]
    parameters = list(signature(kind).parameters.values())[1:]
    values = [item for item in parameters if item.kind is Parameter.POSITIONAL_ONLY]
    known = [item.name for item in parameters if item.kind is Parameter.KEYWORD_ONLY]
    if bool(values) != (value is not None):
        expected = f"needs its {values[0].name}" if values else f"takes no value, but has {value!r}"
        raise ViewfinderError(f"{title} {expected}.")
    for option in options:
        if option not in known:
            raise ViewfinderError(
                f"{title} has no option {option!r}. It has {', '.join(known) or 'none'}."
                f"{did_you_mean(option, known)}"
            )
    try:
        return kind(shape, *([value] if values else []), **options)
    except UnfitLayerError as error:
        raise ViewfinderError(f"{title}: {error}.") from error


def _residual(shape: Shape, layers: Any, title: str, num_classes: int) -> Built:
    """Build a residual block; a 1x1 convolution brings its input to another shape."""
    if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
        raise ViewfinderError(f"{title} holds {layers!r}; expected a list of layers.")
    body: list[nn.Module] = []
    output = shape
    for number, layer in enumerate(layers, 1):
        place = f"{title}, layer {number}"
        name, value, options = _parse(layer, place, num_classes)
        built = _build(output, name, value, options, _title(place, name, value), num_classes)
        body += built.modules
        output = built.output
    if output == shape:
        return Built([Residual(nn.Sequential(*body), nn.Identity())], output)
    if len(shape) == len(output) == 3:
        strides = [-(-before // after) for before, after in zip(shape[1:], output[1:], strict=True)]
        options = {"kernel": 1, "stride": strides, "padding": "same", "bias": False}
        shortcut = KINDS["conv"](shape, output[0], **options)
        if shortcut.output == output:
            inner = nn.Sequential(*shortcut.modules)
            return Built([Residual(nn.Sequential(*body), inner)], output)
    raise ViewfinderError(
        f"{title}: its layers turn {describe_shape(shape)} into {describe_shape(output)}, which "
        "can't be added to its input. Use `padding: same` in it, and strides or pools that divide "
        "height and width by a whole number."
    )


def _title(place: str, name: str, value: Any) -> str:
    plain = isinstance(value, int | float | str | list | tuple) and name != _RESIDUAL
    return f"{place}, {name} {value}" if plain else f"{place}, {name}"


def _count_parameters(modules: Sequence[nn.Module]) -> int:
    """Count as Keras does: statistics of a batch normalisation are parameters, counters not."""
    tensors = [tensor for module in modules for tensor in module.state_dict().values()]
    return sum(tensor.numel() for tensor in tensors if tensor.ndim)
