"""The 1,797 handwritten digits that scikit-learn ships, as an archive of images.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998 (the test part of it, 8x8 pixels with 17 grey levels).
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.sources.zip_writer import write_zip

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MAX_GREY = 16


@cache
def load_glyphs() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load the digits.

    Returns:
        Images, uint8 [1797, 8, 8], and their classes, int64 [1797].
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / _MAX_GREY)).astype(np.uint8)
    return images, digits.target.astype(np.int64)


def _members() -> Iterator[tuple[str, bytes]]:
    images, labels = load_glyphs()
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        _, png = cv2.imencode(".png", image)
        yield f"digits/{label}_{CLASSES[label]}/{index:04d}.png", png.tobytes()


def write_digits(folder: Path) -> None:
    """Write ``digits.zip`` into ``folder``: one PNG a digit, in one folder a class."""
    write_zip(folder / "digits.zip", _members())
