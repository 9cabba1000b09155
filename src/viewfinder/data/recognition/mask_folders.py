"""Folders of masks: how they are called, and which images they belong to."""

import io
import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import PurePosixPath

from PIL import Image

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, inside
from viewfinder.data.recognition.names import common_folder, split_in, split_in_path

_ENDINGS = (
    *("annotations", "annotation", "annots", "annot", "masks", "mask", "labels", "label"),
    *("groundtruth", "segmentationclass", "segmentations", "segmentation"),
)
_WORDS = frozenset({"gt", "seg", "segs", "mask", "masks", "label", "labels", "labelids"})
_OTHER_KINDS = re.compile(r"object|instance|colou?r|rgb|overlay", re.IGNORECASE)
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "photos", "photo", "pictures"})
_IMAGE_ENDINGS = ("images", "image", "imgs", "img", "rgb")
_SUFFIXES = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L")
_LEAST_PAIRED = 0.5
_LEAST_ALIKE = 0.9
_PAIRS_LOOKED_AT = 5
_COLOURS = frozenset({"RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"})


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks and the folder of their images.

    Attributes:
        images: The images' folder.
        masks: The masks' folder.
        suffix: What a mask's name has behind that of its image.
        sure: Whether the folders' names say so, and not the masks' alone.
    """

    images: str
    masks: str
    suffix: str
    sure: bool


def mask_ending(folder: str) -> str | None:
    """Return the end of a folder's name that speaks of masks, "" for a word in it; or None."""
    name = posixpath.basename(folder).lower()
    words = re.findall(r"[a-z]+", name)
    letters = "".join(words)
    ending = next((item for item in _ENDINGS if letters.endswith(item)), None)
    if ending is not None:
        return ending
    return "" if _WORDS & {*words} else None


def find_mask_folders(archive: Archive) -> list[MaskFolder]:
    """Return the folders of masks whose images lie in another folder under the same names."""
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for name in image_names(archive):
        stems[posixpath.dirname(name)].add(PurePosixPath(name).stem)
    top = common_folder(stems)
    kinds = {folder: _speaks_of_masks(folder, top) for folder in stems}
    pairs = []
    for masks in (folder for folder, kind in kinds.items() if kind):
        shares = {
            (images, suffix): _paired(stems[images], stems[masks], suffix)
            for images, kind in kinds.items()
            if not kind
            for suffix in _SUFFIXES
        }
        # Of several folders with such names, as of train and val, the one that is called alike.
        best = max(shares, key=lambda key: (shares[key], _alike(key[0], masks)), default=None)
        if best is not None and shares[best] >= _LEAST_PAIRED:
            pairs.append(MaskFolder(best[0], masks, best[1], _is_sure(best[0], masks)))
    return _of_classes(pairs)


def beside_images(folder: str, folders: Iterable[str]) -> bool:
    """Tell whether a folder is called like the masks of another one, as trainannot and train."""
    kind = mask_ending(folder)
    if kind is None:
        return False
    own = _without_masks(folder)
    others = {posixpath.basename(other).lower() for other in folders if other != folder}
    return own in others if own else bool(others & _IMAGE_WORDS)


def look_like_pairs(archive: Archive, images: Iterable[str]) -> tuple[str, str] | None:
    """Return two folders of images with the same names and sizes that are of different kinds."""
    files: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in images:
        folder, file = posixpath.split(name)
        files[folder][posixpath.splitext(file)[0]] = name
    for first, second in combinations(sorted(files), 2):
        shared = sorted(files[first].keys() & files[second].keys())
        alike = len(shared) >= _LEAST_ALIKE * max(len(files[first]), len(files[second]))
        pairs = [(files[first][stem], files[second][stem]) for stem in shared[:_PAIRS_LOOKED_AT]]
        if pairs and alike and _of_two_kinds(archive, pairs):
            return first, second
    return None


def _speaks_of_masks(folder: str, top: str) -> bool:
    parts = PurePosixPath(inside(folder, top) or folder).parts
    return any(mask_ending(part) is not None for part in parts) or _is_other_kind(folder)


def _is_other_kind(folder: str) -> bool:
    return posixpath.basename(folder).lower() == "segmentationobject"


def _is_sure(images: str, masks: str) -> bool:
    """Tell whether the folders' names make one hold images and the other their masks."""
    shared = PurePosixPath(masks).parts
    own = [part for part in PurePosixPath(images).parts if part not in shared]
    of_images = [part for part in own if _speaks_of_images(part)]
    # Others than splits are classes, one of which may be called like masks.
    plain = all(split_in(part) is not None for part in own if part not in of_images)
    return (bool(of_images) and plain) or beside_images(masks, [images])


def _speaks_of_images(name: str) -> bool:
    words = re.findall(r"[a-z]+", name.lower())
    return bool(_IMAGE_WORDS & {*words}) or "".join(words).endswith(_IMAGE_ENDINGS)


def _without_masks(folder: str) -> str:
    """Return a folder's name without what speaks of masks."""
    name = posixpath.basename(folder).lower()
    for word in sorted({*_ENDINGS, *_WORDS}, key=len, reverse=True):
        if name.endswith(word):
            return name.removesuffix(word).rstrip("_- ")
    return ""


def _of_classes(pairs: list[MaskFolder]) -> list[MaskFolder]:
    """Leave out masks of instances or in colours where the same images have others."""
    plain = {pair.images for pair in pairs if not _OTHER_KINDS.search(pair.masks)}
    return [
        pair for pair in pairs if pair.images not in plain or not _OTHER_KINDS.search(pair.masks)
    ]


def _of_two_kinds(archive: Archive, pairs: list[tuple[str, str]]) -> bool:
    """Tell whether pairs of images have one size and differ in kind alike, as photos and masks."""
    try:
        looks = [[_look(archive, name) for name in pair] for pair in pairs]
    except (OSError, SyntaxError, ValueError):
        return False
    same_size = all(first[0] == second[0] for first, second in looks)
    kinds = {(first[1:], second[1:]) for first, second in looks}
    return same_size and len(kinds) == 1 and all(first != second for first, second in kinds)


def _look(archive: Archive, name: str) -> tuple[tuple[int, int], str | None, bool]:
    """Return an image's size, its file format, and whether it has colours."""
    with Image.open(io.BytesIO(archive.read(name))) as image:
        return image.size, image.format, image.mode in _COLOURS


def _alike(images: str, masks: str) -> tuple[bool, float]:
    same_split = split_in_path(images) == split_in_path(masks)
    return same_split, SequenceMatcher(None, images, masks).ratio()


def _paired(images: Collection[str], masks: set[str], suffix: str) -> float:
    """Return the share of the masks that belong to one of the images."""
    return len({stem + suffix for stem in images} & masks) / len(masks)
