"""Which way up an image is shown, by its EXIF data alone.

Pillow takes an orientation from XMP data, too; OpenCV, PyTorch and browsers do not.
"""

from PIL import ExifTags, Image, ImageOps

_XMP = ("xmp", "XML:com.adobe.xmp")
_SIDEWAYS = frozenset({5, 6, 7, 8})
_AS_STORED = 1


def lies_sideways(image: Image.Image) -> bool:
    """Tell whether width and height of an opened image change places when it is shown."""
    if image.format == "TIFF":  # Pillow gives the sides as they are shown
        return False
    return _orientation(image) in _SIDEWAYS


def turned(image: Image.Image) -> Image.Image:
    """Return an image with all its pixels read, as it is shown."""
    return image if _orientation(image) == _AS_STORED else ImageOps.exif_transpose(image)


def says_as_stored(exif: bytes) -> bool:
    """Tell whether EXIF data say outright that the image is shown as it is stored."""
    read = Image.Exif()
    try:
        read.load(exif)
    # Pillow raises many kinds of errors for damaged data.
    except Exception:
        return False
    return read.get(ExifTags.Base.Orientation) == _AS_STORED


def _orientation(image: Image.Image) -> object:
    for name in _XMP:
        image.info.pop(name, None)
    return image.getexif().get(ExifTags.Base.Orientation, _AS_STORED)
