"""Encoded images to pixels, each by the decoder that is best at it.

OpenCV decodes JPEG and PNG: it is as fast as simplejpeg and torchvision on photos and 1.2 times as
fast as Pillow, with the very same pixels, and it knows reduced scales. Pillow decodes what OpenCV
gets wrong or does not know. Where augmentations resample the pixels, simplejpeg leaves out what the
eye can't see, and decodes 8 % more images in the same time (``benchmarks/decoders.py``).
"""

import io
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.jpeg import decode_rows, read_header
from viewfinder.data.orientation import AS_STORED, orientation_in, turn, turned
from viewfinder.errors import ViewfinderError

Reduction = Literal[1, 2, 4, 8]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_STORED = cv2.IMREAD_IGNORE_ORIENTATION
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
_PNG_TURNED_OR_ANIMATED = (b"eXIf", b"Raw profile type", b"acTL")


class Decoder(Protocol):
    """What decodes an image file, as ``decode_image`` does."""

    def __call__(
        self, content: bytes | memoryview, name: str, reduction: Reduction = 1
    ) -> NDArray[np.uint8]: ...


def decode_image(
    content: bytes | memoryview, name: str, reduction: Reduction = 1
) -> NDArray[np.uint8]:
    """Decode an image file to RGB, turned as its EXIF data say.

    Grey becomes three equal channels; palettes are looked up; of 16-bit samples the high byte is
    kept; CMYK is converted without a colour profile. Alpha is left out and the colour below it
    kept, as torchvision and timm do, so that a pretrained network sees what it was trained on.

    A reduced image is one whose sides are divided and rounded up; what the last row and column lack
    of their pixels is repeated. Of JPEG, fewer coefficients are decoded, which is faster and free
    of aliasing; other formats are averaged afterwards.

    Args:
        content: The file.
        name: What to call it in a message.
        reduction: What both sides are divided by.

    Returns:
        Pixels, uint8 [H, W, 3].

    Raises:
        ViewfinderError: If the bytes are no whole image.
    """
    content = memoryview(content).cast("B")  # Arrow's buffers hold signed bytes
    encoded = np.frombuffer(content, np.uint8)
    header = read_header(content)
    if header is not None and header.components in (1, 3):
        if reduction == 1:
            image = cv2.imdecode(encoded, _STORED | cv2.IMREAD_COLOR_RGB)
        else:
            image = cv2.imdecode(encoded, _STORED | _REDUCED[reduction])
            image = None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if image is not None:
            return turn(np.asarray(image, np.uint8), orientation_in(header.exif))
    elif _is_plain_png(content):
        image = cv2.imdecode(encoded, _STORED | cv2.IMREAD_COLOR_RGB)
        if image is not None:
            return shrink(np.asarray(image, np.uint8), reduction)
    return shrink(_decode_any(content, name), reduction)


def decode_roughly(
    content: bytes | memoryview, name: str, reduction: Reduction = 1, rows: int | None = None
) -> NDArray[np.uint8]:
    """Decode an image file as ``decode_image`` does, but colours of JPEG faster.

    They are stored at half the resolution; the nearest one is taken instead of a mean of the next
    ones. Brightness, and with it what there is to see, stays the same.

    Args:
        content: The file.
        name: What to call it in a message.
        reduction: What both sides are divided by.
        rows: How many rows of the image, from its top, are of use; None for all. What is below them
            is left out where that saves time, and damage there is not seen.

    Returns:
        Pixels, uint8 [H, W, 3].

    Raises:
        ViewfinderError: If the bytes are no whole image.
    """
    content = memoryview(content).cast("B")
    header = read_header(content)
    if reduction > 1 or header is None or header.components != 3:
        return decode_image(content, name, reduction)
    orientation = orientation_in(header.exif)
    wanted = header.height
    if rows is not None and header.in_rows and orientation == AS_STORED:
        wanted = min(rows, wanted)
    image = decode_rows(content, header, wanted)
    return decode_image(content, name) if image is None else turn(image, orientation)


def _is_plain_png(content: memoryview) -> bool:
    """Tell whether a PNG file has one picture, as stored, of samples of one byte or less."""
    if content[:8] != _PNG_START or len(content) <= _PNG_DEPTH or content[_PNG_DEPTH] > 8:
        return False
    encoded = bytes(content)
    return not any(chunk in encoded for chunk in _PNG_TURNED_OR_ANIMATED)


def _decode_any(content: bytes | memoryview, name: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return _to_rgb(turned(image))
    # Pillow's decoders raise many kinds of errors for damaged files.
    except Exception as error:
        raise ViewfinderError(
            f"The image {name!r} ({len(content)} bytes) can't be decoded: {error}. "
            "Repair it or take it out of the data set's archive, then run `dvc repro`."
        ) from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        levels = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    # Arrays of Pillow are read-only; tensors must not be.
    return np.array(image.convert("RGB"))


def shrink(image: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Return an image as ``decode_image`` gives it at a reduced scale."""
    if reduction == 1:
        return image
    below, right = (-side % reduction for side in image.shape[:2])
    if below or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE))
    height, width = (side // reduction for side in image.shape[:2])
    smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def decode_mask(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a mask of a split file to class indices, uint8 [H, W].

    Raises:
        ViewfinderError: If the bytes are no image that can be decoded.
    """
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise ViewfinderError(
            f"The mask {name!r} ({len(content)} bytes) can't be decoded. "
            "Run the split stage again: `dvc repro`."
        )
    return np.asarray(mask, np.uint8)
