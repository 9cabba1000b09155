"""timm's networks by name, as classifiers and as backbones, with weights from anywhere."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers import Format
from torch import Tensor, nn

from viewfinder.errors import ViewfinderError
from viewfinder.models.timm_weights import HUB, no_hub, weights_overlay

_MOST_SUGGESTIONS = 5
# What timm's networks raise for arguments they don't know, and its hub for weights it can't get.
BUILDING = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def timm_classifier(
    num_classes: int,
    *,
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    image_size: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a classifier that maps images [B, in_channels, H, W] to logits [B, C].

    Args:
        num_classes: Number of classes.
        name: Name of a timm model.
        weights: Where its weights come from: None for random ones, ``hub`` for timm's own,
            ``package`` for those of an installed Python package, else a file with a state dict of
            this network. A head of another number of classes is left out.
        in_channels: Channels of the images; weights of a first convolution are adapted to them.
        image_size: Height and width of the images, pixels; only networks of a fixed size ask.
        options: Further arguments of timm's network.

    Raises:
        ViewfinderError: If timm has no such network, or the weights can't be had or don't fit.
    """
    return _create(
        name, weights, in_channels, image_size, {"num_classes": num_classes, **options}, head=True
    )


def timm_features(
    name: str,
    *,
    stages: Sequence[int],
    weights: str | None = None,
    in_channels: int = 3,
    image_size: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a backbone that maps images [B, in_channels, H, W] to a list of maps [B, C, h, w].

    Its ``feature_info`` tells their channels and strides. The arguments are those of
    ``timm_classifier``.

    Args:
        name: Name of a timm model.
        stages: Which feature maps; -1 is the deepest.
        weights: Where its weights come from.
        in_channels: Channels of the images.
        image_size: Height and width of the images, pixels; only networks of a fixed size ask.
        options: Further arguments of timm's network.

    Raises:
        ViewfinderError: If timm has no such network, it has no such feature maps, or the weights
            can't be had or don't fit.
    """
    wanted = {"features_only": True, "out_indices": tuple(stages), **options}
    network = _create(name, weights, in_channels, image_size, wanted, head=False)
    if getattr(network, "output_fmt", None) == Format.NHWC:
        network.register_forward_hook(_channels_first)  # keeps the names of its tensors
    return network


def _channels_first(network: nn.Module, images: Any, maps: Sequence[Tensor]) -> list[Tensor]:
    return [features.permute(0, 3, 1, 2) for features in maps]


def timm_strides(name: str) -> list[int]:
    """Return the stride of each feature map of a timm backbone, pixels.

    Raises:
        ViewfinderError: If timm has no such network, or it has no feature maps.
    """
    check_name(name)
    try:
        with torch.device("meta"):
            strides: list[int] = timm.create_model(
                name, features_only=True
            ).feature_info.reduction()
    except BUILDING as error:
        raise ViewfinderError(f"timm can't build {name!r} as a backbone: {error}.") from error
    return strides


def _create(
    name: str,
    weights: str | None,
    in_channels: int,
    image_size: Sequence[int] | None,
    options: Mapping[str, Any],
    *,
    head: bool,
) -> nn.Module:
    check_name(name)
    arguments = {"in_chans": in_channels, **options}
    cfg = timm.models.get_pretrained_cfg(name)
    if image_size is not None and cfg is not None and cfg.fixed_input_size:
        arguments["img_size"] = tuple(image_size)
    overlay: dict[str, Any] | None = None
    if weights not in (None, HUB):
        assert weights is not None
        classes = options["num_classes"] if head else None
        overlay = weights_overlay(name, weights, classes)
        # What is left out of the weights has been said by now.
        logging.getLogger("timm.models").setLevel(logging.ERROR)
    try:
        network: Any = timm.create_model(
            name, pretrained=weights is not None, pretrained_cfg_overlay=overlay, **arguments
        )
    except BUILDING as error:
        if weights == HUB and isinstance(error, OSError | RuntimeError | ValueError):
            raise ViewfinderError(no_hub(name, error)) from error
        what = "classifier" if head else f"backbone with the feature maps {options['out_indices']}"
        raise ViewfinderError(f"timm can't build {name!r} as a {what}: {error}.") from error
    if overlay is not None:
        # timm keeps its source of weights, which would hold them in memory a second time.
        network.pretrained_cfg["state_dict"] = None
    built: nn.Module = network
    return built


def check_name(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        ViewfinderError: With the names that are close to it.
    """
    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=_MOST_SUGGESTIONS)
        hint = f"Did you mean {', '.join(close)}? " if close else ""
        raise ViewfinderError(
            f'timm has no model {name!r}. {hint}`python -c "import timm; '
            f"print(timm.list_models('*resnet*'))\"` lists those with resnet in their name."
        )
