"""What readers refuse, in the same words everywhere."""

from collections.abc import Collection, Iterable, Sequence

from viewfinder.data.archive import Archive
from viewfinder.data.schema import SPLITS
from viewfinder.errors import ViewfinderError


def some(items: Collection[object], limit: int = 3) -> str:
    """Write the first few of many things."""
    shown = ", ".join(repr(item) for item in list(items)[:limit])
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def check_splits(splits: Collection[str], option: str) -> None:
    """Refuse an option whose keys are not splits.

    Raises:
        ViewfinderError: Naming the keys there can be.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise ViewfinderError(
            f"The reader's option `{option}` has the keys {list(splits)}; "
            f"expected some of {', '.join(SPLITS)}."
        )


def refuse_without_label(archive: Archive, images: Collection[str], where: str, mend: str) -> None:
    """Refuse images that nothing was said about.

    Raises:
        ViewfinderError: If there are any.
    """
    if images:
        raise ViewfinderError(
            f"{archive.path}: {len(images)} images are without a label: {some(images)}. "
            f"Expected each image {where}. {mend}"
        )


def refuse_without_image(archive: Archive, labels: Collection[str], where: str) -> None:
    """Refuse annotations whose image the archive does not hold.

    Raises:
        ViewfinderError: If there are any.
    """
    if labels:
        raise ViewfinderError(
            f"{archive.path}: {where} speaks of {len(labels)} images that are not there: "
            f"{some(labels)}. Add the images or remove their annotations."
        )


def refuse_classes(
    archive: Archive, found: Iterable[str], known: Sequence[str], where: str
) -> None:
    """Refuse class names that are not among the known ones.

    Raises:
        ViewfinderError: If there are any, or a known name stands twice.
    """
    if len(set(known)) != len(known):
        raise ViewfinderError(f"{archive.path}: the class names {list(known)} are not unique.")
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ViewfinderError(
            f"{archive.path}: {where} has the class {some(unknown)}; expected one of "
            f"{', '.join(known)}. Correct the annotation or the reader's `classes`."
        )


def refuse_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an option's value that is none of its choices.

    Raises:
        ViewfinderError: Naming the choices.
    """
    if value not in choices:
        raise ViewfinderError(
            f"The reader's option `{option}` is {value!r}; expected {' or '.join(choices)}."
        )
