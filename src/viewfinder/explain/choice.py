"""Which layer a heatmap is made on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.recording import LayerOutput, record
from viewfinder.explain.targets import ClassScores, Target

_LEAST_SIDE = 4
_MOST_NAMED = 30


def choose_layer(
    scores: ClassScores, pixels: Tensor, target: Target, name: str | None = None
) -> LayerOutput:
    """Return the last layer that gives feature maps on which the target depends.

    A map of fewer than four places a side can hardly point at anything, so it is taken only where
    there is none larger; likewise one from inside a block. Layers that give the class scores
    themselves don't count, and neither do those that run several times, such as the heads that
    detectors share between levels.

    Args:
        scores: The network.
        pixels: One normalised image, [1, channels, H, W].
        target: What is to be explained.
        name: The layer's name, if it is chosen already.

    Raises:
        NothingToDrawError: If none is named, and none has feature maps.
        ViewfinderError: If there is no such layer, or it has no feature maps.
    """
    network = scores.network
    pixels = pixels.detach().requires_grad_()
    outputs: list[Any] = []
    with torch.enable_grad():
        # Second stages run behind the network proper, on maps of regions instead of the image.
        recorded = record(network, lambda: outputs.append(network(pixels)))
        if name is not None:
            return _named(recorded, name)
        value = target.value(scores.read(outputs[0])[0])
        candidates = _before_scores(scores, recorded)
        gradients = torch.autograd.grad(
            value, [layer.outputs[0] for layer in candidates], allow_unused=True
        )
    found = [
        layer
        for layer, gradient in zip(candidates, gradients, strict=True)
        if gradient is not None and _usable(layer) and layer.as_maps(gradient).any()
    ]
    if found:
        fine = [layer for layer in found if min(_sides(layer)) >= _LEAST_SIDE] or found
        whole = [layer for layer in fine if not _is_inside_block(layer, recorded)]
        return (whole or fine)[-1]
    raise NothingToDrawError(
        f"The network {type(network).__name__} has no layer with feature maps that its class "
        "scores depend on, so there is nothing to draw a heatmap from. Heatmaps need convolutions "
        "or a timm transformer; name a layer with --layer if there is one."
    )


def _is_inside_block(layer: LayerOutput, recorded: Sequence[LayerOutput]) -> bool:
    """Tell whether a layer is part of one that gives feature maps itself, as residual blocks do."""
    return any(
        layer.name.startswith(f"{other.name}.")
        for other in recorded
        if other.layout is not None and type(other.module) is not nn.Sequential
    )


def _sides(layer: LayerOutput) -> tuple[int, int]:
    height, width = layer.as_maps(layer.outputs[0]).shape[-2:]
    return height, width


def _usable(layer: LayerOutput) -> bool:
    return layer.layout is not None and len(layer.outputs) == 1 and len(layer.outputs[0]) == 1


def _before_scores(scores: ClassScores, recorded: Sequence[LayerOutput]) -> list[LayerOutput]:
    """Return the layers before the last one with weights, which gives the scores."""
    ran = {id(layer.module) for layer in recorded}
    weighted = [
        module
        for module in scores.network.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    if not recorded:
        return []
    if not all(id(module) in ran for module in weighted):
        return list(recorded)  # weights that are used outside their layers may give the scores
    last = max(
        number
        for number, layer in enumerate(recorded)
        if layer.is_leaf and next(layer.module.parameters(), None) is not None
    )
    return list(recorded[:last])


def _named(recorded: Sequence[LayerOutput], name: str) -> LayerOutput:
    usable = [layer.name for layer in recorded if _usable(layer)]
    for layer in recorded:
        if layer.name == name and not _usable(layer):
            shape = tuple(layer.outputs[0].shape)
            found = f"runs {len(layer.outputs)} times" if layer.layout else f"gives {shape}"
            raise ViewfinderError(
                f"The layer {name!r} {found}; a heatmap needs one that gives feature maps "
                f"(1, channels, height, width), once. {_list(usable)}"
            )
        if layer.name == name:
            return layer
    raise ViewfinderError(
        f"The network has no layer {name!r}.{did_you_mean(name, usable)} {_list(usable)}"
    )


def _list(names: Sequence[str]) -> str:
    if not names:
        return "It has none."
    more = len(names) - _MOST_NAMED
    return f"From the last: {', '.join(names[::-1][:_MOST_NAMED])}" + (
        f" and {more} more." if more > 0 else "."
    )
