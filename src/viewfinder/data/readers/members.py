"""Which files of an archive are images, and how to find one."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from viewfinder.data.archive import Archive
from viewfinder.data.readers.refusals import Refused, some
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif"}
    | {".pbm", ".pgm", ".ppm", ".pnm"}
)

UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".hif", ".jp2", ".j2k", ".jxl", ".psd", ".tga", ".exr", ".hdr", ".dcm"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}
)


def is_image(name: str) -> bool:
    """Tell whether a name's extension, in either case, is that of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def image_names(archive: Archive, patterns: str | Sequence[str] = "*") -> list[str]:
    """Return the names of an archive's images that match one of the patterns.

    Args:
        archive: The data set's archive.
        patterns: Shell patterns for the whole path; ``*`` goes through folders too.

    Raises:
        ViewfinderError: If no image matches.
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    images = [name for name in archive.names() if is_image(name)]
    matching = [name for name in images if any(fnmatchcase(name, item) for item in wanted)]
    if not images:
        raise ViewfinderError(
            f"{archive.path} holds no images: of its {len(archive.names())} files none ends in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}. Is it the right file or folder?"
        )
    if not matching:
        raise ViewfinderError(
            f"{archive.path} holds {len(images)} images, none of which matches "
            f"{', '.join(map(repr, wanted))}. Expected at least one: correct the pattern."
        )
    return matching


def unread_names(archive: Archive, patterns: str | Sequence[str] = "*") -> list[str]:
    """Return the names of images of a kind that is not read, which match one of the patterns."""
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    return [
        name
        for name in archive.names()
        if PurePosixPath(name).suffix.lower() in UNREAD_SUFFIXES
        and any(fnmatchcase(name, item) for item in wanted)
    ]


def inside(name: str, folder: str) -> str | None:
    """Return a path relative to a folder, or None if it lies elsewhere; "" is the whole archive."""
    folder = folder.strip("/")
    if not folder:
        return name
    return name.removeprefix(f"{folder}/") if name.startswith(f"{folder}/") else None


def by_stem(names: Iterable[str], refused: Refused) -> dict[str, str]:
    """Index files by their path without its extension; refuse those that then are the same."""
    files: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        files[str(PurePosixPath(name).with_suffix(""))].append(name)
    for same in files.values():
        for name in same[: len(same) if len(same) > 1 else 0]:
            refused.add(
                name,
                f"{' and '.join(map(repr, same))} differ in their extension only, so their "
                "annotations can't be told apart. Rename one of them.",
            )
    return {stem: same[0] for stem, same in files.items()}


def stems_in(names: Iterable[str], folder: str, refused: Refused) -> dict[str, str]:
    """Index the files of a folder by their path there without its extension."""
    stems = by_stem((name for name in names if inside(name, folder) is not None), refused)
    return {str(inside(stem, folder)): name for stem, name in stems.items()}


def folder_split(name: str, folders: Mapping[Split, str]) -> tuple[Split, str] | None:
    """Return which split's folder a file lies in, and its path there."""
    for split, folder in folders.items():
        rest = inside(name, folder)
        if rest is not None:
            return split, rest
    return None


def read_text(archive: Archive, name: str) -> str:
    """Return a text file's content.

    Raises:
        ViewfinderError: If there is no such file, or it is not UTF-8.
    """
    try:
        # As the names of members are: a list and a folder may write one name in two ways.
        return unicodedata.normalize("NFC", archive.read(name).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ViewfinderError(
            f"{archive.path}: {name!r} is not UTF-8 text: {error}. Convert it."
        ) from error


def read_list(archive: Archive, name: str) -> list[str]:
    """Return the lines of a list file that are not empty.

    Raises:
        ViewfinderError: If there is no such file, it is empty, or a line stands in it twice.
    """
    lines = [line.strip() for line in read_text(archive, name).splitlines() if line.strip()]
    if not lines:
        raise ViewfinderError(f"{archive.path}: the list {name!r} is empty; expected image names.")
    twice = [line for line, count in Counter(lines).items() if count > 1]
    if twice:
        raise ViewfinderError(
            f"{archive.path}: the list {name!r} names {some(twice)} more than once. "
            "Expected each image once: remove the copies."
        )
    return lines
