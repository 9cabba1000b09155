"""Predictions for an image and its mirror image, taken together."""

import torch
from torch import Tensor


def merge_mirrored(
    predictions: dict[str, Tensor], mirrored: dict[str, Tensor], width: int
) -> dict[str, Tensor]:
    """Return the mean of the predictions for images and for the same images mirrored.

    Args:
        predictions: ``probabilities`` [B, C] or [B, C, H, W], ``boxes`` [B, 4] in pixels.
        mirrored: The same for the mirrored images.
        width: Width of the images, pixels.
    """
    merged = {}
    for name, value in predictions.items():
        other = mirrored[name]
        if name == "boxes":
            left, top, right, bottom = other.unbind(dim=-1)
            other = torch.stack([width - right, top, width - left, bottom], dim=-1)
        elif other.ndim == 4:
            other = other.flip(-1)
        merged[name] = (value + other) / 2
    return merged
