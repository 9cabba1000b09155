"""One folder a class: which folders are the classes, and which are splits."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from glob import escape
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, inside, is_image
from viewfinder.data.readers.refusals import some
from viewfinder.data.recognition.mask_folders import beside_images, look_like_pairs
from viewfinder.data.recognition.names import READERS, Format, named_split, sibling_splits
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

_LARGEST_STRAY_SHARE = 0.5
_MOST_FOLDERS_OF_PAIRS = 24  # more of them are classes whose files count alike
_TEXTS = (".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".md")


def recognise_class_folders(archive: Archive, names: list[str]) -> Format | None:
    """Return how class folders are read: the top folders that part the images, or below splits.

    Args:
        archive: The data set's archive.
        names: Its files.

    Raises:
        ViewfinderError: If the folders hold masks, or splits without classes.
    """
    images = image_names(archive)
    root = _trunk(images)
    folders = _folders(images, root)
    if len(folders) < 2 or _below(folders) < _LARGEST_STRAY_SHARE * len(images):
        return None
    _refuse_masks(archive, images, folders)
    splits = sibling_splits(folders)
    if len(splits) > 1 or set(folders) == {*splits.get("train", ())}:
        return _in_splits(archive, names, images, root, splits)
    _refuse_mixed_splits(archive, folders)
    note = "; ".join(filter(None, (_depth_note(folders), _unread_note(names, root, folders))))
    return Format("folder a class", f"{READERS}folders.read_class_folders", {"root": root}, note)


def _in_splits(
    archive: Archive,
    names: list[str],
    images: list[str],
    root: str,
    found: Mapping[Split, list[str]],
) -> Format:
    for split, folders in found.items():
        if len(folders) > 1:
            raise ViewfinderError(
                f"{archive.path}: the folders {some(folders)} all seem to be for {split}. Expected "
                "one a split: put them together, or name the reader's `splits` yourself."
            )
    named = sorted(folder for folders in found.values() for folder in folders)
    train = _trunk(images, posixpath.join(root, *found.get("train", ())))
    classes = _folders(images, train)
    if "train" not in found or len(classes) < 2:
        raise ViewfinderError(
            f"{archive.path} holds images in {', '.join(named)}, which are splits and no classes, "
            "and nothing that says what the images show. Add the annotations, or sort the images "
            "into one folder a class, below train."
        )
    levels = {
        split: _level(images, posixpath.join(root, found[split][0]), classes)
        for split in SPLITS
        if split in found
    }
    splits = {split: folder for split, folder in levels.items() if folder is not None}
    options: dict[str, Any] = {"splits": splits}
    notes = [_unread_note(names, folder, classes) for folder in splits.values()]
    beside = [image for image in images if not _in_any(image, splits.values())]
    if any(posixpath.dirname(image) for image in beside):
        options["images"] = [f"{escape(folder)}/*" for folder in splits.values()]
        notes.append(_left_out_note(beside, root))
    name = "folders of train, val and test with one folder a class"
    reader = f"{READERS}folders.read_class_folders"
    return Format(name, reader, options, "; ".join(filter(None, notes)))


def _trunk(images: Collection[str], folder: str = "") -> str:
    """Return the first folder from here on that has several folders with images, or none."""
    while len(folders := _folders(images, folder)) == 1:
        folder = posixpath.join(folder, *folders)
    return folder


def _level(images: Collection[str], folder: str, classes: Collection[str]) -> str | None:
    """Return the first folder from here on that holds some of the class folders."""
    while not (folders := _folders(images, folder)).keys() & set(classes):
        if len(folders) != 1:
            return None
        folder = posixpath.join(folder, *folders)
    return folder


def _folders(images: Iterable[str], folder: str) -> dict[str, list[str]]:
    """Return the paths of the images in each of a folder's folders, from there on."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for rest in _inside(images, folder):
        first, _, path = rest.partition("/")
        if path:
            found[first].append(path)
    return dict(found)


def _inside(images: Iterable[str], folder: str) -> list[str]:
    return [rest for image in images if (rest := inside(image, folder)) is not None]


def _first(path: str) -> str:
    return PurePosixPath(path).parts[0]


def _in_any(path: str, folders: Iterable[str]) -> bool:
    return any(inside(path, folder) is not None for folder in folders)


def _below(folders: Mapping[str, list[str]]) -> int:
    return sum(map(len, folders.values()))


def _depth_note(folders: Mapping[str, list[str]]) -> str:
    """Say what was taken for the class where folders below it could be meant as well."""
    for folder, paths in folders.items():
        below = {posixpath.dirname(path) for path in paths}
        if len(below) > 1:
            example = posixpath.join(folder, max(below))
            return f"the top folders are the classes: {example!r} is a part of {folder!r}"
    return ""


def _left_out_note(images: Iterable[str], root: str) -> str:
    counts = Counter(_first(inside(image, root) or image) for image in images)
    left = ", ".join(f"{name!r} (images: {count:,})" for name, count in counts.items())
    return f"left out, being no splits with the class folders of train: {left}"


def _unread_note(names: Iterable[str], root: str, folders: Collection[str]) -> str:
    """Name the folders beside the class folders that hold files, and none that is an image."""
    suffixes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for rest in _inside(names, root):
        suffix = PurePosixPath(rest).suffix.lower()
        if "/" in rest and _first(rest) not in folders and suffix not in _TEXTS:
            suffixes[_first(rest)][suffix or "without suffix"] += 1
    unread = (
        f"{folder!r} ({', '.join(f'{suffix} {count:,}' for suffix, count in counts.items())})"
        for folder, counts in suffixes.items()
        if not any(is_image(f"x{suffix}") for suffix in counts)
    )
    said = ", ".join(unread)
    return f"not taken as a class, for want of images that can be read: {said}" if said else ""


def _refuse_mixed_splits(archive: Archive, folders: Mapping[str, list[str]]) -> None:
    """Refuse splits below classes, and one split with class folders beside what is none."""
    below = {
        folder: {_first(path) for path in paths if "/" in path} for folder, paths in folders.items()
    }
    deeper = {folder for folder, inner in below.items() if len(inner) > 1}
    splits = sibling_splits({name for folder in deeper for name in below[folder]})
    if len(splits) > 1:
        shown = sorted(name for names in splits.values() for name in names)
        raise ViewfinderError(
            f"{archive.path} holds the splits {', '.join(shown)} below the folders "
            f"{some(sorted(deeper))}. Expected the splits on top: sort the images into "
            "train/<class>, val/<class> and test/<class>."
        )
    for folder in sorted(deeper):
        if (named := named_split(folder)) is not None and not named[1]:
            others = sorted(folders.keys() - {folder})
            raise ViewfinderError(
                f"{archive.path} holds folders in {folder!r}, as a split does, and beside it "
                f"{some(others)}, which no split is called like. Expected classes or splits: call "
                "the splits train, val and test and move away what is none; or name the reader and "
                "its options yourself: copy conf/dataset/cats_vs_dogs.yaml."
            )


def _refuse_masks(archive: Archive, images: Iterable[str], folders: Iterable[str]) -> None:
    """Refuse folders that do not part the images but hold masks, or the like, of each other."""
    paths = {posixpath.dirname(image) for image in images}
    called = paths | set(folders)
    masks = sorted(path for path in called if beside_images(path, called))
    if masks:
        raise ViewfinderError(
            f"{archive.path} seems to hold masks in {masks[0]!r}, and no folder holds images of "
            "just these names. Copy conf/dataset/camvid_quarter.yaml and name the folders there."
        )
    if len(paths) > _MOST_FOLDERS_OF_PAIRS:
        return
    pair = look_like_pairs(archive, images)
    if pair is not None:
        raise ViewfinderError(
            f"{archive.path} holds files of the same names and sizes but of another kind in "
            f"{pair[0]!r} and {pair[1]!r}, as images and their masks are, and not as classes. For "
            "masks, call the folders images and masks; for classes, call the files in them "
            "otherwise; or name the reader yourself: copy conf/dataset/camvid_quarter.yaml."
        )
