"""Small pictures of images with their annotations drawn, as data URIs."""

import base64
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from viewfinder.data.schema import IGNORE
from viewfinder.data.splits.pixels import decode
from viewfinder.drawing.palette import class_rgb

Picture = NDArray[np.uint8]
_QUALITY = 80
_OPACITY = 0.45
_MOST_BOXES = 200
CROWDED = 25
_OUTSIDE = 8  # pixels


def thumbnail(row: Mapping[str, Any], side: int) -> str:
    """Draw an image with its masks and boxes.

    Args:
        row: All columns of the image in its split file.
        side: Length of the picture's longer side, pixels.

    Returns:
        The picture as a ``data:`` URI.
    """
    pixels = decode(row["image"]["bytes"])
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(to_rgb(pixels), size, interpolation=method)
    if row.get("mask"):
        picture = paint(picture, decode(row["mask"]["bytes"]))
    for item in row.get("objects") or ():
        if item["rle"] is not None:
            shape = {"size": [height, width], "counts": item["rle"]}
            mask = np.where(coco_mask.decode(shape) > 0, item["category"] % IGNORE, IGNORE)
            picture = paint(picture, mask.astype(np.uint8))
    crowded = len(row.get("objects") or ()) > CROWDED
    for item in (row.get("objects") or ())[:_MOST_BOXES]:
        draw_box(picture, np.array(item["bbox"]) * scale, item["category"], thin=crowded)
    return as_uri(picture)


def to_rgb(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Picture:
    """Return a decoded image of any kind as RGB, uint8 [H, W, 3]."""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.ascontiguousarray(pixels[..., :3], np.uint8)


def paint(picture: Picture, mask: NDArray[Any], opacity: float = _OPACITY) -> Picture:
    """Tint the pixels of each class in a mask of any size; those to be ignored stay as they are."""
    size = (picture.shape[1], picture.shape[0])
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    table = np.array([class_rgb(label) for label in range(256)], np.float32)
    tinted = (1 - opacity) * picture + opacity * table[small]
    return np.where((small == IGNORE)[..., None], picture, tinted).astype(np.uint8)


def draw_box(picture: Picture, box: NDArray[Any], label: int, *, thin: bool = False) -> None:
    """Draw a box (left, top, right, bottom in the picture's pixels) in its class's colour."""
    # OpenCV takes no corner that is far outside.
    limits = np.array([*picture.shape[1::-1], *picture.shape[1::-1]]) + _OUTSIDE
    left, top, right, bottom = np.clip(box, -_OUTSIDE, limits).round().astype(int).tolist()
    thickness = 1 if thin or max(picture.shape) < 150 else 2
    cv2.rectangle(picture, (left, top), (right, bottom), class_rgb(label), thickness)


def as_uri(picture: Picture) -> str:
    """Return a picture, RGB, as a ``data:`` URI."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
