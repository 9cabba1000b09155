"""Semantic segmentation networks of segmentation-models-pytorch."""

from typing import Any

import segmentation_models_pytorch as smp
from torch import nn


def smp_model(num_classes: int, *, architecture: str, encoder: str, **options: Any) -> nn.Module:
    """Build a network that maps images [B, 3, H, W] to logits [B, C, H, W].

    Args:
        num_classes: Number of classes.
        architecture: Name of an architecture of segmentation-models-pytorch, such as ``unet``.
        encoder: Name of an encoder; ``tu-`` before a timm model's name takes it from timm.
        options: Further arguments of the architecture.
    """
    network: nn.Module = smp.create_model(
        architecture, encoder_name=encoder, classes=num_classes, **options
    )
    return network
