"""Which way up an image is shown, by its EXIF data alone.

Pillow takes an orientation from XMP data, too; OpenCV, PyTorch and browsers do not.
"""

from PIL import ExifTags, Image, ImageOps

_XMP = ("xmp", "XML:com.adobe.xmp")
_SIDEWAYS = frozenset({5, 6, 7, 8})


def lies_sideways(image: Image.Image) -> bool:
    """Tell whether width and height of an opened image change places when it is shown."""
    if image.format == "TIFF":  # Pillow gives the sides as they are shown
        return False
    return _orientation(image) in _SIDEWAYS


def turned(image: Image.Image) -> Image.Image:
    """Return an image with all its pixels read, as it is shown."""
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> object:
    for name in _XMP:
        image.info.pop(name, None)
    return image.getexif().get(ExifTags.Base.Orientation, 1)
