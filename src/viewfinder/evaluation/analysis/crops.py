"""A square piece of an image around one object, with boxes, outlines and masks in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE
from viewfinder.evaluation.example import Marks

SIDE = 288
_CONTEXT = 2.5
_LEAST_SIDE = 32
_OUTSIDE = 245

Line = NDArray[np.float32]


@dataclass(frozen=True)
class Crop:
    """A square window in an image.

    Attributes:
        left: In pixels; below 0 where it reaches beyond the image.
        top: Likewise.
        side: Its width and height in pixels.
    """

    left: int
    top: int
    side: int

    @classmethod
    def around(
        cls, box: Sequence[float], height: int, width: int, least: float = _LEAST_SIDE
    ) -> "Crop":
        """Return the window around a box, in the image as far as possible.

        Args:
            box: Left, top, right, bottom.
            height: Of the image.
            width: Of the image.
            least: The smallest side that it may have, in pixels.
        """
        left, top, right, bottom = box
        side = max(round(least), round(_CONTEXT * max(right - left, bottom - top)))
        # The window needs not be larger than the image, but has to hold the whole box.
        longest = max(height, width)
        side = min(side, longest)
        return cls(
            _start((left + right) / 2, side, width), _start((top + bottom) / 2, side, height), side
        )

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut out of an image [H, W, 3] and bring to ``SIDE``; what is outside is light grey."""
        grows = self.side <= SIDE
        drawn = cv2.resize(
            self._cut(image, _OUTSIDE),
            (SIDE, SIDE),
            interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_AREA,
        )
        return np.asarray(drawn, np.uint8)

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut out of a mask [H, W] in the same way; what is outside does not count."""
        drawn = cv2.resize(self._cut(mask, IGNORE), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        return np.asarray(drawn, np.uint8)

    def lines(self, lines: Sequence[Line]) -> list[Line]:
        """Return the lines around an object in the window's drawn pixels."""
        corner, scale = np.array([self.left, self.top], np.float32), SIDE / self.side
        return [(line - corner) * scale for line in lines]

    def marks(self, marks: Marks) -> Marks:
        """Return boxes and outlines in the window's drawn pixels, without those outside it."""
        scale = SIDE / self.side
        corner = np.array([self.left, self.top], np.float32)
        boxes = (marks.boxes.reshape(-1, 4) - np.tile(corner, 2)) * scale
        seen = np.flatnonzero((boxes[:, :2].max(axis=1) < SIDE) & (boxes[:, 2:].min(axis=1) > 0))
        outlines = None
        if marks.outlines is not None:
            outlines = [self.lines(marks.outlines[number]) for number in seen]
        scores = marks.scores[seen] if len(marks.scores) else marks.scores
        return Marks(boxes[seen].astype(np.float32), marks.labels[seen], scores, outlines=outlines)

    def _cut(self, pixels: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        cut = np.full((self.side, self.side, *pixels.shape[2:]), outside, np.uint8)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        cut[top - self.top : bottom - self.top, left - self.left : right - self.left] = pixels[
            top:bottom, left:right
        ]
        return cut


def _start(centre: float, side: int, length: int) -> int:
    """Return where a window begins: within the image, or around it if it is longer."""
    if side >= length:
        return (length - side) // 2
    return int(np.clip(round(centre - side / 2), 0, length - side))
