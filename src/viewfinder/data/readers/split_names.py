"""What people call the splits."""

from viewfinder.data.schema import Split

_SPLIT_OF: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
SPLIT_WORDS = tuple(_SPLIT_OF)


def split_of(word: str) -> Split | None:
    """Return the split that a word names, in either case."""
    return _SPLIT_OF.get(word.strip().lower())
