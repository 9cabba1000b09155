"""What the pixel values of index masks tell of the classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from viewfinder.data.archive import Archive
from viewfinder.data.mask_pixels import decode_indices, distinct
from viewfinder.data.schema import IGNORE
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
_MOST_READ = 2000
_MOST_CLASSES = 200
_LEAST_READABLE = 0.5
_FIRST_GREY = 32  # the least value above 0 of masks that are grey levels, not numbers


@dataclass(frozen=True)
class MaskClasses:
    """The classes of masks.

    Attributes:
        names: Their names: the files do not tell them, so they are numbered.
        values: The class of those pixel values that are not class indices themselves.
        note: What was taken for granted, if anything.
    """

    names: list[str]
    values: Mapping[int, int]
    note: str


def classes_in_masks(archive: Archive, names: Sequence[str]) -> MaskClasses:
    """Return the classes that masks hold. Black and white ones tell one object from its background.

    Args:
        archive: The data set's archive.
        names: The masks. Of very many, some are read.

    Raises:
        ViewfinderError: If most can't be read, or they hold no numbers of classes.
    """
    lossy = [name for name in names if PurePosixPath(name).suffix.lower() in _JPEG]
    if len(lossy) > len(names) / 2:
        raise ViewfinderError(
            f"{archive.path}: the masks are JPEG files, such as {lossy[0]!r}, whose compression "
            "changes the values at every edge. Make them anew as PNG files from what they were "
            "made of, with one number a class."
        )
    read = names[:: -(-len(names) // _MOST_READ)]
    values, problems = _values(archive, read)
    if len(problems) > len(read) * (1 - _LEAST_READABLE):
        raise problems[0]
    if len(values) > _MOST_CLASSES:
        raise ViewfinderError(
            f"{archive.path}: the masks, such as {read[0]!r}, hold {len(values)} different values, "
            "as photos and numbered objects do. Expected one value a class: convert the masks."
        )
    classes, meaning, notes = _named(values)
    if problems:
        found = str(problems[0]).removeprefix(f"{archive.path}: ").removesuffix(".")
        notes.append(f"{len(problems)} of {len(read):,} masks can't be used: {found}")
    if len(read) < len(names):
        notes.append(f"{len(read):,} of {len(names):,} masks were read: others may hold more")
    return MaskClasses(classes, meaning, "; ".join(notes))


def _values(archive: Archive, names: Sequence[str]) -> tuple[set[int], list[ViewfinderError]]:
    values: set[int] = set()
    problems: list[ViewfinderError] = []
    with progress(names, "looking at the masks", len(names)) as items:
        for name in items:
            try:
                pixels = decode_indices(archive.read(name), f"{archive.path}: the mask {name!r}")
            except ViewfinderError as error:
                problems.append(error)
            else:
                values |= set(distinct(pixels).tolist())
    return values, problems


def _named(values: set[int]) -> tuple[list[str], dict[int, int], list[str]]:
    """Return the classes' names, the values' meaning, and what to say of it."""
    if values <= {0, IGNORE}:
        return ["background", "object"], {IGNORE: 1}, []
    grey = min(values - {0}) >= _FIRST_GREY
    known = sorted(values if grey else values - {IGNORE})
    if known[0] >= 0 and known[-1] < 2 * len(known):
        absent = sorted(set(range(known[-1])) - set(known))
        missing = ", ".join(map(str, absent))
        notes = [f"no mask holds the value {missing}"] if absent else []
        return [f"class_{number}" for number in range(known[-1] + 1)], {}, notes
    note = f"the masks hold the values {', '.join(map(str, known))}, numbered from 0 under `values`"
    return (
        [f"class_{value}" for value in known],
        {value: n for n, value in enumerate(known) if value != n},
        [note],
    )
