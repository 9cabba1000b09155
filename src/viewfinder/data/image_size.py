"""How large an image is shown."""

import io

from PIL import ExifTags, Image

from viewfinder.data.unreadable import unreadable
from viewfinder.errors import ViewfinderError

_SIDEWAYS = frozenset({5, 6, 7, 8})


def image_size(content: bytes, name: str, *, whole: bool = False) -> tuple[int, int]:
    """Return width and height as a viewer shows the image, after its EXIF orientation.

    Args:
        content: The encoded image.
        name: What to call it in a message.
        whole: Decode all pixels, so that a damaged image is found; else only its header is read.

    Raises:
        ViewfinderError: If it is no image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if whole:
                image.load()
            width, height = image.size
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ViewfinderError(
            f"{name} {unreadable(content, error)}. Repair the file or take it out of the archive."
        ) from error
    return (height, width) if orientation in _SIDEWAYS else (width, height)
