"""Pictures inside a page."""

import base64
import io
from pathlib import Path

from PIL import Image

_QUALITY = 82


def embedded(path: Path) -> str:
    """Return a picture file as a ``data:`` URI, as WebP, which takes a third of PNG's bytes."""
    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(content, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
