"""One folder a class."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import folder_split, image_names, inside, unread_names
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.readers.refusals import (
    Refused,
    check_class_names,
    check_splits,
    some,
)
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_ORDERED = re.compile(r"(\d+)_(\D.*)")


def read_class_folders(
    archive: Archive,
    *,
    root: str | None = None,
    splits: Mapping[Split, str] | None = None,
    images: str | Sequence[str] = "*",
    classes: Mapping[str, str] | Sequence[str] | None = None,
) -> Reading:
    """Read images that lie in folders named after their class.

    The classes stand in the order of the folders' names unless ``classes`` says otherwise; a
    leading number that only orders them, as in ``3_three`` beside ``1_one`` and ``2_two``, is left
    out of the class name.

    Args:
        archive: The data set's archive.
        root: The folder that holds the class folders; images may lie deeper in these. None takes
            the folder of each image as its class.
        splits: The folder of each of the authors' splits, which holds the class folders; in place
            of ``root``.
        images: Shell patterns of the images to take; ``*`` goes through folders too.
        classes: The class folders in order, or each with the name of its class.

    Raises:
        ViewfinderError: If fewer than two class folders hold images, two have the same name, or
            one of ``classes`` is missing.
    """
    refused = Refused(archive)
    if splits is not None:
        check_splits(splits, "splits")
    places = {image: _place(image, root, splits) for image in image_names(archive, images)}
    strays = [image for image, (_, folder) in places.items() if folder is None]
    refused.without_label(
        strays,
        f"in a class folder {_where(root, splits)}",
        "Move it, or leave it out with the reader's `images`.",
    )
    refused.of_unread_kind(unread_names(archive, images))
    folders = sorted({folder for _, folder in places.values() if folder is not None})
    names = _names(archive, folders, classes)
    label_of = {folder: label for label, folder in enumerate(names)}
    records = []
    for image, (split, folder) in places.items():
        if folder in label_of:
            records.append(Record(id=image, label=label_of[folder], split=split))
        else:
            refused.add(
                image,
                f"its folder {folder!r} is none of the reader's `classes`; expected one of "
                f"{', '.join(names)}. Move it, or add the class.",
            )
    return refused.reading(list(names.values()), ["label"], records)


def _place(
    image: str, root: str | None, splits: Mapping[Split, str] | None
) -> tuple[Split | None, str | None]:
    """Return the split that an image is in and its class folder, None where there is none."""
    if root is None and splits is None:
        parent = str(PurePosixPath(image).parent)
        return None, None if parent == "." else parent
    if splits:
        split, rest = folder_split(image, splits) or (None, None)
    else:
        split, rest = None, inside(image, root or "")
    parts = PurePosixPath(rest).parts if rest is not None else ()
    return split, parts[0] if len(parts) > 1 else None


def _where(root: str | None, splits: Mapping[Split, str] | None) -> str:
    if splits:
        return f"of {', '.join(splits.values())}"
    return f"of {root!r}" if root else "of its own"


def _names(
    archive: Archive,
    folders: Sequence[str],
    classes: Mapping[str, str] | Sequence[str] | None,
) -> dict[str, str]:
    """Return the class name of each folder, in the order of the classes."""
    if len(folders) < 2:
        raise ViewfinderError(
            f"{archive.path} has {len(folders)} folders with images; "
            "expected one folder for each of two or more classes."
        )
    if classes is not None:
        check_class_names(archive, list(classes))
        named = dict(classes) if isinstance(classes, Mapping) else {name: name for name in classes}
        by_name = {PurePosixPath(folder).name: folder for folder in folders}
        missing = [folder for folder in named if folder not in by_name]
        if missing:
            raise ViewfinderError(
                f"{archive.path}: the reader's `classes` name {some(missing)}, and no such folder "
                f"holds images; there are {some(folders, 12)}. Correct `classes`."
            )
        names = {by_name[folder]: name for folder, name in named.items()}
        unique = len(by_name) == len(folders) and len(set(names.values())) == len(names)
    else:
        names = _without_order({folder: PurePosixPath(folder).name for folder in folders})
        unique = len(set(names.values())) == len(names)
    if not unique:
        raise ViewfinderError(
            f"{archive.path}: several of the class folders {some(folders, 12)} have the same name. "
            "Expected one folder a class: tell the reader their common folder with `root`, the "
            "folders of the splits with `splits`, or which images to take with `images`."
        )
    return names


def _without_order(names: dict[str, str]) -> dict[str, str]:
    """Take numbers off the classes' names if all have one and they only count the classes."""
    matches = {folder: _ORDERED.fullmatch(name) for folder, name in names.items()}
    parts = {folder: (int(m[1]), m[2]) for folder, m in matches.items() if m is not None}
    order = sorted(parts, key=lambda folder: parts[folder])
    numbers = [parts[folder][0] for folder in order]
    counted = numbers in (list(range(len(names))), list(range(1, len(names) + 1)))
    if not counted or len({name for _, name in parts.values()}) < len(names):
        return names
    return {folder: parts[folder][1] for folder in order}
