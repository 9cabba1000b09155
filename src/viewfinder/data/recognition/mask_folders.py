"""Folders of index masks: which images they belong to, and which values they hold."""

import posixpath
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath

import numpy as np

from viewfinder.data.archive import Archive
from viewfinder.data.mask_pixels import decode_indices
from viewfinder.data.readers.members import image_names

_ENDINGS = ("annot", "annotations", "mask", "masks", "labels", "_gt", "groundtruth")
_SUFFIXES = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L")
_LEAST_PAIRED = 0.5
_MASKS_READ = 60
_WHITE = 255


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks and the folder of their images.

    Attributes:
        images: The images' folder.
        masks: The masks' folder.
        suffix: What a mask's name has behind that of its image.
    """

    images: str
    masks: str
    suffix: str


def mask_ending(folder: str) -> str | None:
    """Return the end of a folder's name that speaks of masks, if it has such."""
    name = posixpath.basename(folder).lower()
    return next((ending for ending in _ENDINGS if name.endswith(ending)), None)


def find_mask_folders(archive: Archive) -> list[MaskFolder]:
    """Return the folders of masks whose images lie in another folder under the same names."""
    stems: defaultdict[str, set[str]] = defaultdict(set)
    for name in image_names(archive):
        stems[posixpath.dirname(name)].add(PurePosixPath(name).stem)
    pairs = []
    for masks in filter(mask_ending, stems):
        shares = {
            MaskFolder(images, masks, suffix): _paired(stems[images], stems[masks], suffix)
            for images in stems
            if not mask_ending(images)
            for suffix in _SUFFIXES
        }
        # Of several folders with such names, as of train and val, the one that is called alike.
        best = max(shares, key=lambda pair: (shares[pair], _alike(pair)), default=None)
        if best is not None and shares[best] >= _LEAST_PAIRED:
            pairs.append(best)
    return pairs


def classes_in_masks(
    archive: Archive, pairs: list[MaskFolder]
) -> tuple[list[str], Mapping[int, int] | None]:
    """Return names for the classes of masks, and the meaning of their values if it is another.

    The files do not name the classes: they are numbered. Masks of black and white tell one object
    from the background.

    Args:
        archive: The data set's archive.
        pairs: The folders of masks, of which some files are read.

    Raises:
        ViewfinderError: If a mask can't be read, or has colours.
    """
    folders = {pair.masks for pair in pairs}
    names = [name for name in image_names(archive) if posixpath.dirname(name) in folders]
    values: set[int] = set()
    for name in names[:: -(-len(names) // _MASKS_READ)]:
        pixels = decode_indices(archive.read(name), f"{archive.path}: the mask {name!r}")
        values |= set(np.unique(pixels).tolist())
    if values <= {0, _WHITE}:
        return ["background", "object"], {_WHITE: 1}
    largest = max(values - {_WHITE})
    return [f"class_{number}" for number in range(largest + 1)], None


def _alike(pair: MaskFolder) -> float:
    return SequenceMatcher(None, pair.images, pair.masks).ratio()


def _paired(images: set[str], masks: set[str], suffix: str) -> float:
    """Return the share of the masks that belong to one of the images."""
    return len({stem + suffix for stem in images} & masks) / len(masks)
