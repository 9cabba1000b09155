"""Words in pictures."""


def shorten(text: str, length: int, *, keep_end: bool = False) -> str:
    """Cut a text to ``length`` characters, with an ellipsis where some are missing."""
    if len(text) <= length:
        return text
    return "…" + text[1 - length :] if keep_end else text[: length - 1] + "…"
