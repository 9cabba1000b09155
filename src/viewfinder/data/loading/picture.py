"""A picture of no split, as a network takes it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewfinder.data.loading.decode import decode_image, shrink
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.transforms import Transform
from viewfinder.errors import ViewfinderError


def load_picture(path: Path, transform: Transform) -> tuple[NDArray[np.uint8], Tensor]:
    """Decode a picture and bring it to a network's input.

    Args:
        path: The picture's file.
        transform: What brings a picture to the size that the network was trained on.

    Returns:
        The picture, uint8 [H, W, 3], and what the network takes, uint8 [channels, H', W'].

    Raises:
        ViewfinderError: If it can't be decoded.
    """
    content = path.read_bytes()
    try:
        image = decode_image(content, str(path))
    except ViewfinderError as error:
        raise ViewfinderError(
            f"The picture {path} ({len(content)} bytes) can't be read as an image."
        ) from error
    # As large images are decoded for training.
    reduction = transform.reduction(image.shape[:2], augmented=False, annotated=False)
    sample = transform(Sample(shrink(image, reduction)))
    return image, torch.from_numpy(sample.image).permute(2, 0, 1)
