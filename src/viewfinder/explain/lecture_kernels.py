"""The kernels that lectures on image processing begin with, over an image."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import scale
from viewfinder.drawing.palette import FAINT

Kernel = NDArray[np.float32]

_SIDE = 240
_GAP, _TITLE = 18, 20
_COLUMNS = 4
_ROW = 13
_MIDDLE = 128


def _kernel(*rows: tuple[float, float, float], divided_by: float = 1) -> Kernel:
    return np.array(rows, np.float32) / divided_by


KERNELS: Mapping[str, Kernel] = {
    "blur": _kernel((1, 1, 1), (1, 1, 1), (1, 1, 1), divided_by=9),
    "sharpen": _kernel((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "emboss": _kernel((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "Laplacian": _kernel((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "Sobel x": _kernel((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "Sobel y": _kernel((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
}
"""Each a correlation mask, float32 [3, 3]. They sum to 1, or to 0 for those that find edges."""


def apply_kernel(picture: NDArray[np.uint8], kernel: Kernel) -> NDArray[np.float32]:
    """Slide a kernel over a picture [H, W, ...], which is mirrored at its border.

    Returns:
        The sums, float32 of the picture's shape.
    """
    values = picture.astype(np.float32)
    return np.asarray(cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def draw_lecture_kernels(path: Path, picture: NDArray[np.uint8], *, subject: str) -> None:
    """Draw a picture, uint8 [H, W, 3], and what each kernel makes of it."""
    shown: list[tuple[str, NDArray[np.uint8], Kernel | None]] = [("image", picture, None)]
    shown += [(name, _shown(picture, kernel), kernel) for name, kernel in KERNELS.items()]
    tiles = [np.asarray(scale(tile, _SIDE), np.uint8) for _, tile, _ in shown]
    height, width = tiles[0].shape[:2]
    cell = height + _TITLE + 3 * _ROW + _GAP
    canvas = Canvas(
        HEADER + -(-len(shown) // _COLUMNS) * cell,
        2 * MARGIN + _COLUMNS * (width + _GAP) - _GAP,
        heading="The lectures' kernels",
        key=f"{subject}. Where the kernel sums to 0: grey is no change, brighter up, darker down.",
    )
    for index, ((name, _, kernel), tile) in enumerate(zip(shown, tiles, strict=True)):
        row, column = divmod(index, _COLUMNS)
        top, left = HEADER + row * cell, MARGIN + column * (width + _GAP)
        canvas.write(left, top, name, points=10)
        canvas.show(tile, left, top + _TITLE)
        for number, line in enumerate(_lines(kernel)):
            below = top + _TITLE + height + 4 + number * _ROW
            canvas.write(left, below, line, points=8, colour=FAINT)
    canvas.save(path)


def _shown(picture: NDArray[np.uint8], kernel: Kernel) -> NDArray[np.uint8]:
    """Return a kernel's result in 0 to 255; of those that find edges in grey around the middle."""
    if kernel.sum() > 0.5:
        return apply_kernel(picture, kernel).clip(0, 255).astype(np.uint8)
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    edges = apply_kernel(grey, kernel)
    shown = _MIDDLE + 127 * edges / max(float(np.abs(edges).max()), 1.0)
    return shown.astype(np.uint8)[..., None].repeat(3, axis=2)


def _lines(kernel: Kernel | None) -> list[str]:
    if kernel is None:
        return []
    ninths = bool(np.allclose(kernel, 1 / 9))
    rows = np.ones((3, 3)) if ninths else kernel
    lines = ["   ".join(f"{value:2.0f}" for value in row) for row in rows]
    return [f"{lines[0]}    / 9", *lines[1:]] if ninths else lines
