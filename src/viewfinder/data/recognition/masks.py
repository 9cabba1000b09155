"""Images with masks in files of their own: one an image, or one an object."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.image_size import image_size
from viewfinder.data.readers.members import image_names
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.recognition.mask_folders import MaskFolder, find_mask_folders
from viewfinder.data.recognition.mask_values import MaskClasses, classes_in_masks
from viewfinder.data.recognition.names import READERS, Format, split_in_path, unsettled
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError

_KIND = "images and index masks"
_READER = f"{READERS}index_masks."
_LEAST_FITTING = 0.75
_MOST_VALUES_UNSURE = 32


def recognise_instance_masks(archive: Archive, names: list[str]) -> Format | None:
    """Return how ``<id>/images/<id>.png`` and ``<id>/masks/*`` are read, if most files lie so."""
    counts = Counter(posixpath.split(posixpath.dirname(name)) for name in image_names(archive))
    owners = {owner for owner, part in counts if part in {"images", "masks"}}
    fitting = [
        owner
        for owner in owners
        if counts[owner, "images"] == 1
        and counts[owner, "masks"]
        and split_of(posixpath.basename(owner)) is None
    ]
    if len(fitting) < 2 or len(fitting) < _LEAST_FITTING * len(owners):
        return None
    reader = f"{READERS}instance_masks.read_instance_folders"
    return Format("one mask an instance", reader, {"class_name": "object"})


def recognise_index_masks(archive: Archive, names: list[str]) -> Format | None:
    """Return how masks that lie in folders of their own are read, if there are such.

    Raises:
        ViewfinderError: If it can't be told which folders belong together, or what the masks hold.
    """
    pairs = find_mask_folders(archive)
    if not pairs:
        return None
    masks = _files(archive, {pair.masks for pair in pairs})
    try:
        classes = classes_in_masks(archive, masks)
        beside = _beside(archive, pairs)
        _check(archive, pairs, beside)
    except ViewfinderError:
        if any(pair.sure for pair in pairs):
            raise
        return None  # a class may be called mask, too
    if not any(pair.sure for pair in pairs) and (beside or not _as_masks(archive, pairs, classes)):
        return None
    options: dict[str, Any] = {"classes": classes.names}
    options |= {"values": dict(classes.values)} if classes.values else {}
    left = ", ".join(f"{folder!r} (images: {count:,})" for folder, count in beside.items())
    note = "; ".join(filter(None, (classes.note, f"left out: {left}" if left else "")))
    listed = _listed(archive, names, pairs)
    if listed is not None:
        return Format(_KIND, f"{_READER}read_listed_masks", listed | options, note)
    return Format(_KIND, f"{_READER}read_mask_folders", _folders(pairs) | options, note)


def _folders(pairs: list[MaskFolder]) -> dict[str, Any]:
    suffix = {"suffix": pairs[0].suffix} if pairs[0].suffix else {}
    if len(pairs) == 1:
        return {"images": pairs[0].images, "masks": pairs[0].masks} | suffix
    by_split = {split_in_path(pair.images): pair for pair in pairs}
    found = {split: by_split[split] for split in SPLITS if split in by_split}
    return {
        "images": {split: pair.images for split, pair in found.items()},
        "masks": {split: pair.masks for split, pair in found.items()},
    } | suffix


def _check(archive: Archive, pairs: list[MaskFolder], beside: Iterable[str]) -> None:
    splits = {split_in_path(pair.images) for pair in pairs}
    shown = ", ".join(f"{pair.images!r} with {pair.masks!r}" for pair in pairs[:4])
    if len(pairs) > 1 and (None in splits or len(splits) < len(pairs)):
        problem = f"which folders are meant can't be told: {shown}"
        raise unsettled(archive, _KIND, problem)
    if len({pair.suffix for pair in pairs}) > 1:
        problem = f"the masks' names end differently from folder to folder: {shown}"
        raise unsettled(archive, _KIND, problem)
    stems = {folder: _stems(archive, folder) for folder in beside}
    for pair in pairs:
        images, masks = (_stems(archive, folder) for folder in (pair.images, pair.masks))
        for folder, others in stems.items():
            if {stem + pair.suffix for stem in others - images} & masks:
                problem = (
                    f"{pair.masks!r} holds masks of the images in {pair.images!r} and in "
                    f"{folder!r}; expected a folder of masks for each"
                )
                raise unsettled(archive, _KIND, problem)


def _stems(archive: Archive, folder: str) -> set[str]:
    return {PurePosixPath(name).stem for name in _files(archive, {folder})}


def _listed(archive: Archive, names: list[str], pairs: list[MaskFolder]) -> dict[str, Any] | None:
    """Return the options for the lists of Pascal VOC's segmentation, if there are such."""
    lists: dict[Split, str] = {}
    for name in names:
        split = split_of(PurePosixPath(name).stem)
        if split is not None and PurePosixPath(name).match("ImageSets/Segmentation/*.txt"):
            lists[split] = name
    if "train" not in lists or len(pairs) > 1:
        return None
    paths = []
    for folder, suffix in ((pairs[0].images, ""), (pairs[0].masks, pairs[0].suffix)):
        endings = {PurePosixPath(name).suffix for name in _files(archive, {folder})}
        if len(endings) > 1:
            return None
        paths.append(posixpath.join(folder, "{name}" + suffix + endings.pop()))
    ordered = {split: lists[split] for split in SPLITS if split in lists}
    return {"lists": ordered, "images": paths[0], "masks": paths[1]}


def _files(archive: Archive, folders: Iterable[str]) -> list[str]:
    wanted = set(folders)
    return [name for name in image_names(archive) if posixpath.dirname(name) in wanted]


def _beside(archive: Archive, pairs: list[MaskFolder]) -> Counter[str]:
    """Count the images that lie neither with the images nor with the masks."""
    taken = {folder for pair in pairs for folder in (pair.images, pair.masks)}
    folders = Counter(posixpath.dirname(name) for name in image_names(archive))
    return Counter({folder: count for folder, count in folders.items() if folder not in taken})


def _as_masks(archive: Archive, pairs: list[MaskFolder], classes: MaskClasses) -> bool:
    """Tell whether files are masks by what they hold: few values, and the size of their images."""
    if len(classes.names) > _MOST_VALUES_UNSURE:
        return False
    sizes: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for pair in pairs:
        images = {PurePosixPath(name).stem: name for name in _files(archive, {pair.images})}
        for mask in _files(archive, {pair.masks}):
            image = images.get(PurePosixPath(mask).stem.removesuffix(pair.suffix))
            if image is not None:
                sizes[image] = {image_size(archive.read(name), "it") for name in (image, mask)}
    return all(len(both) == 1 for both in sizes.values())
