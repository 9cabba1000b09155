"""The normalisation of a batch, as a task does it before its network."""

import torch
from torch import Tensor


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn uint8 images [B, 3, H, W] into float32, as ``VisionTask.normalize`` does."""
    pixels = images.to(torch.float32, copy=True, memory_format=torch.channels_last)
    means, stds = torch.tensor(mean), torch.tensor(std)
    scale, shift = (values.repeat(images.shape[-1]) for values in (1 / (255 * stds), -means / stds))
    rows = pixels.permute(0, 2, 3, 1).flatten(2)
    torch.addcmul(shift, rows, scale, out=rows)
    return pixels
