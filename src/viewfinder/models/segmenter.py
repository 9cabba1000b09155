"""Semantic segmentation networks of segmentation-models-pytorch."""

from inspect import signature
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.models.state_dicts import check_fit, read_state_dict
from viewfinder.models.timm_models import BUILDING, check_name, timm_features
from viewfinder.models.timm_weights import HUB, no_hub

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
        ViewfinderError: If there is no such architecture, encoder or option, or the weights can't
            be had or don't fit.
    """
    from_timm = encoder.startswith(_TIMM)
    _check_names(architecture, encoder, list(options))
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
    except BUILDING as error:
        if named is not None and isinstance(error, OSError):
            raise ViewfinderError(
                no_hub(encoder, error, of="segmentation-models-pytorch", prefix=_TIMM)
            ) from error
        raise ViewfinderError(
            f"The network {architecture!r} (model.architecture) on {encoder!r} (model.encoder) "
            f"can't be built{f' with {options}' if options else ''}: {error}. Correct conf/model/."
        ) from error
    if weights is not None and from_timm:
        _load_timm(network.encoder.model, encoder.removeprefix(_TIMM), weights, in_channels)
    elif weights is not None and named is None:
        state = read_state_dict(Path(weights).expanduser())
        check_fit(state, network.encoder.state_dict(), source=weights, network=encoder)
        network.encoder.load_state_dict(state)
    built: nn.Module = network
    return built


def _check_names(architecture: str, encoder: str, options: list[str]) -> None:
    """Refuse names that segmentation-models-pytorch, or timm behind it, does not know."""
    architectures = list(smp.MODEL_ARCHITECTURES_MAPPING)
    if architecture not in architectures:
        raise ViewfinderError(
            f"model.architecture is {architecture!r}; segmentation-models-pytorch has "
            f"{', '.join(architectures)}.{did_you_mean(architecture, architectures)}"
        )
    if encoder.startswith(_TIMM):
        check_name(encoder.removeprefix(_TIMM))
        return  # further options may be timm's
    if encoder not in smp.encoders.encoders:
        raise ViewfinderError(
            f"model.encoder is {encoder!r}, which segmentation-models-pytorch has not."
            f"{did_you_mean(encoder, list(smp.encoders.encoders))} Choose one of its encoders, "
            f"such as resnet34, or a timm model with {_TIMM!r} before its name."
        )
    known = list(signature(smp.MODEL_ARCHITECTURES_MAPPING[architecture]).parameters)
    for option in options:
        if option not in known:
            raise ViewfinderError(
                f"model.{option} is no option of {architecture!r}; it has {', '.join(known)}."
                f"{did_you_mean(option, known)}"
            )


def _load_timm(backbone: Any, name: str, weights: str, in_channels: int) -> None:
    """Give a timm backbone that smp built its weights, by way of one of the same stages."""
    stages = backbone.feature_info.out_indices
    twin = timm_features(name, stages=stages, weights=weights, in_channels=in_channels)
    backbone.load_state_dict(twin.state_dict())
