"""How large an image is shown."""

import io

from PIL import Image

from viewfinder.data.orientation import lies_sideways
from viewfinder.data.unreadable import unreadable
from viewfinder.errors import ViewfinderError


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
            sideways = lies_sideways(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ViewfinderError(
            f"{name} {unreadable(content, error)}. Repair the file or take it out of the archive."
        ) from error
    return (height, width) if sideways else (width, height)
