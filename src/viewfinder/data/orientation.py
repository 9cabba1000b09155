"""Which way up an image is shown, by its EXIF data alone, for all that read images.

Pillow reads them, of damaged data and of numbers of unusual types otherwise than OpenCV does. An
orientation in XMP data, which Pillow takes, too, is not heeded: others do not.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

_XMP = ("xmp", "XML:com.adobe.xmp")
_SIDEWAYS = frozenset({5, 6, 7, 8})
AS_STORED = 1
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def lies_sideways(image: Image.Image) -> bool:
    """Tell whether width and height of an opened image change places when it is shown."""
    if image.format == "TIFF":  # Pillow gives the sides as they are shown
        return False
    return _orientation(image) in _SIDEWAYS


def turned(image: Image.Image) -> Image.Image:
    """Return an image with all its pixels read, as it is shown."""
    return image if _orientation(image) == AS_STORED else ImageOps.exif_transpose(image)


def orientation_in(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that EXIF data tell of; 1, as stored, if they tell none."""
    if not exif:
        return AS_STORED
    read = Image.Exif()
    try:
        read.load(exif)
    # Pillow raises many kinds of errors for damaged data.
    except Exception:
        return AS_STORED
    return _known(read)


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return stored pixels, [H, W] or [H, W, 3], as an orientation says that they are shown."""
    if orientation == AS_STORED:
        return pixels
    return np.ascontiguousarray(_TURNS[orientation](pixels))


def _orientation(image: Image.Image) -> int:
    for name in _XMP:
        image.info.pop(name, None)
    try:
        return _known(image.getexif())
    # As above.
    except Exception:
        return AS_STORED


def _known(exif: Image.Exif) -> int:
    found = exif.get(ExifTags.Base.Orientation)
    return found if isinstance(found, int) and found in _TURNS else AS_STORED
