"""Which classes images show, at a bit a class: a byte each is a quarter of the probabilities."""

import numpy as np
from numpy.typing import NDArray

Packed = NDArray[np.uint8]


def pack(flags: NDArray[np.bool_]) -> Packed:
    """Pack flags of images and classes, bool [N, C], to uint8 [N, ceil(C / 8)]."""
    return np.packbits(flags, axis=1)


def of_class(packed: Packed, label: int) -> NDArray[np.bool_]:
    """Return the flags of one class, bool [N]."""
    place, bit = divmod(label, 8)
    return np.asarray((packed[:, place] & (128 >> bit)) != 0)
