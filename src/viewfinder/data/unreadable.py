"""What to say of bytes that are no image."""

from PIL import UnidentifiedImageError


def unreadable(content: bytes, error: Exception) -> str:
    """Describe bytes that Pillow can't decode, in the same words each time.

    Args:
        content: The bytes.
        error: What Pillow raised. Its message for an unknown format names an address in memory.
    """
    unknown = isinstance(error, UnidentifiedImageError)
    reason = "its content is in no known image format" if unknown else str(error)
    return f"is not a readable image ({len(content)} bytes): {reason}"
