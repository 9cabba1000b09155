"""Semantic segmentation networks of segmentation-models-pytorch."""

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from viewfinder.errors import ViewfinderError
from viewfinder.models.state_dicts import check_fit, read_state_dict
from viewfinder.models.timm_models import timm_features
from viewfinder.models.timm_weights import HUB

_TIMM = "tu-"


def smp_model(
    num_classes: int,
    *,
    architecture: str,
    encoder: str,
    weights: str | None = None,
    in_channels: int = 3,
    **options: Any,
) -> nn.Module:
    """Build a network that maps images [B, in_channels, H, W] to logits [B, C, H, W].

    Args:
        num_classes: Number of classes.
        architecture: Name of an architecture of segmentation-models-pytorch, such as ``unet``.
        encoder: Name of an encoder; ``tu-`` before a timm model's name takes it from timm.
        weights: Where the encoder's weights come from: None for random ones, ``hub``, a file with
            its state dict or, for timm's, whatever ``timm_features`` takes.
        in_channels: Channels of the images.
        options: Further arguments of the architecture.

    Raises:
        ViewfinderError: If the weights can't be had or don't fit.
    """
    from_timm = encoder.startswith(_TIMM)
    named = "imagenet" if weights == HUB and not from_timm else None
    try:
        network: Any = smp.create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights=named,
            in_channels=in_channels,
            classes=num_classes,
            **options,
        )
    except (KeyError, OSError) as error:
        raise ViewfinderError(
            f"The network {architecture!r} on {encoder!r} can't be built: {error}"
        ) from error
    if weights is not None and from_timm:
        _load_timm(network.encoder.model, encoder.removeprefix(_TIMM), weights, in_channels)
    elif weights is not None and named is None:
        state = read_state_dict(Path(weights).expanduser())
        check_fit(state, network.encoder.state_dict(), source=weights, network=encoder)
        network.encoder.load_state_dict(state)
    built: nn.Module = network
    return built


def _load_timm(backbone: Any, name: str, weights: str, in_channels: int) -> None:
    """Give a timm backbone that smp built its weights, by way of one of the same stages."""
    stages = backbone.feature_info.out_indices
    twin = timm_features(name, stages=stages, weights=weights, in_channels=in_channels)
    backbone.load_state_dict(twin.state_dict())
