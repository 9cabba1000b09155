"""What one decoded image tells: its size, its content as hashes, its colours."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.jpeg import decode_exactly, read_header
from viewfinder.data.orientation import orientation_in, turn, turned
from viewfinder.data.unreadable import unreadable

THUMBNAIL_SIDE = 16
_HASH_SIDE = 8
_DCT_SIDE = 32
_AS_THEY_ARE = frozenset({"L", "RGB", "RGBA"})
_DEEPEST = 2**16 - 1
_JPEG = frozenset({"JPEG", "MPO"})
_GREY_LEVELS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class UnreadableImageError(ValueError):
    """Bytes that are no whole image; the message says why."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in one image.

    Attributes:
        size: Width and height as a viewer shows the image, pixels.
        digest: Hash of the decoded pixels; equal only for equal pixels.
        perceptual: 64-bit perceptual hash; images that look alike differ in few bits.
        thumbnail: Grey image, uint8 [16, 16].
        mean: Mean of red, green and blue in [0, 1], float64 [3].
        square: Mean of the squares of red, green and blue, float64 [3].
        damage: What is damaged among the pixels, if they could be decoded all the same.
    """

    size: tuple[int, int]
    digest: bytes
    perceptual: int
    thumbnail: NDArray[np.uint8]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    damage: str | None


def look_at(content: bytes) -> Look:
    """Decode an image once and describe it.

    The digest is of the decoded pixels, not of the file, so that copies with other metadata or
    another lossless encoding count as exact duplicates. An alpha channel counts.

    Args:
        content: An encoded image.

    Raises:
        UnreadableImageError: If the bytes are not a whole image.
    """
    pixels, damage = _decode(content)
    digest = hashlib.blake2b(repr((pixels.shape, pixels.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    mean, deviation = (value.ravel()[:3] for value in cv2.meanStdDev(pixels))
    levels = _GREY_LEVELS[pixels.dtype]
    grey = _grey(pixels)
    return Look(
        size=(pixels.shape[1], pixels.shape[0]),
        digest=digest.digest(),
        perceptual=_perceptual_hash(grey),
        thumbnail=cv2.resize(grey, (THUMBNAIL_SIDE,) * 2, interpolation=cv2.INTER_AREA),
        mean=_three(mean / levels),
        square=_three((mean**2 + deviation**2) / levels**2),
        damage=damage,
    )


def decode(content: bytes) -> Pixels:
    """Decode an image, turned as its EXIF orientation says.

    Returns:
        Pixels [H, W] or [H, W, 3 or 4], red first; uint8, or uint16 for 16-bit grey.

    Raises:
        UnreadableImageError: If the bytes are not a whole image.
    """
    return _decode(content)[0]


def _decode(content: bytes) -> tuple[Pixels, str | None]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            decoded = _decode_jpeg(content) if image.format in _JPEG else None
            return decoded or (_load(image), None)
    except UnreadableImageError:
        raise
    # Pillow's decoders raise many kinds of errors for damaged files.
    except Exception as error:
        raise UnreadableImageError(f"it {unreadable(content, error)}") from error


def _decode_jpeg(content: bytes) -> tuple[Pixels, str | None] | None:
    """Decode by libjpeg itself, since Pillow keeps its warnings of damage to itself."""
    view = memoryview(content)
    header = read_header(view)
    if header is None or header.components not in (1, 3):
        return None
    decoded = decode_exactly(view, header)
    if decoded is None:
        return None
    pixels, damage = decoded
    return turn(pixels, orientation_in(header.exif)), damage


def _load(image: Image.Image) -> Pixels:
    image.load()
    shown = turned(image)
    if shown.mode == "F" or shown.mode.startswith("I"):
        return _deep(np.asarray(shown))
    if shown.mode not in _AS_THEY_ARE:
        shown = shown.convert("RGBA" if shown.has_transparency_data else "RGB")
    return np.asarray(shown)


def _deep(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """Return grey of more than 8 bits as 16 bits, in the machine's order of bytes."""
    if pixels.dtype.kind == "f" or pixels.min() < 0 or pixels.max() > _DEEPEST:
        raise UnreadableImageError(
            f"its pixels are {pixels.dtype.name} from {pixels.min():g} to {pixels.max():g}; "
            f"expected whole numbers from 0 to {_DEEPEST}. Convert it to 8 or 16 bits"
        )
    return pixels.astype(np.uint16)


def _three(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values if len(values) == 3 else np.repeat(values, 3)


def _grey(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    if pixels.ndim == 3:
        code = cv2.COLOR_RGBA2GRAY if pixels.shape[2] == 4 else cv2.COLOR_RGB2GRAY
        return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels.astype(np.uint8)


def _perceptual_hash(grey: NDArray[np.uint8]) -> int:
    """Hash the low frequencies of an image: pHash, after C. Zauner (2010), section 3.2.1.

    Source: "Implementation and Benchmarking of Perceptual Image Hash Functions", thesis, Upper
    Austria University of Applied Sciences. Each bit says whether a coefficient of the cosine
    transform is above their (lower) median.
    """
    small = cv2.resize(grey, (_DCT_SIDE, _DCT_SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = np.packbits(low > np.partition(low, len(low) // 2 - 1)[len(low) // 2 - 1])
    return int.from_bytes(bits.tobytes(), "big")
