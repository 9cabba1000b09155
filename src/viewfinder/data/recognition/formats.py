"""Which format a data set has, judged by the names of its files."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, is_image
from viewfinder.data.readers.split_names import split_of
from viewfinder.data.recognition.coco import recognise_coco
from viewfinder.data.recognition.mask_folders import (
    classes_in_masks,
    find_mask_folders,
    mask_ending,
)
from viewfinder.data.recognition.names import (
    READERS,
    Format,
    common_folder,
    split_folders,
    split_in,
)
from viewfinder.data.recognition.parquet import recognise_parquet
from viewfinder.data.recognition.published import recognise_published
from viewfinder.data.recognition.tables import recognise_table
from viewfinder.data.recognition.voc import recognise_voc
from viewfinder.data.recognition.yolo import recognise_yolo
from viewfinder.data.schema import SPLITS
from viewfinder.errors import ViewfinderError


def recognise(archive: Archive) -> Format:
    """Tell the format of a data set.

    Args:
        archive: The data set's archive.

    Raises:
        ViewfinderError: If it has none that can be told from the names of its files, or has
            annotations that can't be read without more being said.
    """
    names = archive.names()
    unread: list[ViewfinderError] = []
    for look in (
        recognise_published,
        recognise_parquet,
        recognise_coco,
        recognise_yolo,
        recognise_voc,
    ):
        try:
            found = look(archive, names)
        except ViewfinderError as error:
            unread.append(error)
            continue
        if found is not None:
            return found
    if unread:
        # Without its annotations the data set would pass for another one.
        raise unread[0]
    if any(map(is_image, names)):
        for look in (_instance_masks, _index_masks, recognise_table, _class_folders):
            found = look(archive, names)
            if found is not None:
                return found
    suffixes = Counter(PurePosixPath(name).suffix.lower() or "none" for name in names)
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in suffixes.most_common(5))
    raise ViewfinderError(
        f"{archive.path} holds {len(names)} files ({kinds}) in no format that can be told from "
        "their names. Expected one folder a class, COCO JSON, Pascal VOC, YOLO, a CSV list, "
        "Hugging Face parquet, or masks beside their images. Name the reader yourself: copy a "
        "file of conf/dataset/ and adapt it."
    )


def _instance_masks(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    owners = {posixpath.dirname(folder) for folder in folders}
    expected = {posixpath.join(owner, part) for owner in owners for part in ("images", "masks")}
    if folders != expected or len(owners) < 2:
        return None
    reader = f"{READERS}instance_masks.read_instance_folders"
    return Format("one mask an instance", reader, {"class_name": "object"})


def _index_masks(archive: Archive, names: list[str]) -> Format | None:
    pairs = find_mask_folders(archive)
    if not pairs or len({pair.suffix for pair in pairs}) > 1:
        return None
    options: dict[str, Any] = {}
    if len(pairs) == 1:
        options = {"images": pairs[0].images, "masks": pairs[0].masks}
    else:
        by_split = {split_in(pair.images): pair for pair in pairs}
        if None in by_split or len(by_split) < len(pairs):
            return None
        found = {split: by_split[split] for split in SPLITS if split in by_split}
        options["images"] = {split: pair.images for split, pair in found.items()}
        options["masks"] = {split: pair.masks for split, pair in found.items()}
    try:
        classes, values = classes_in_masks(archive, pairs)
    except ViewfinderError:
        return None  # a class may be called mask, too
    options |= {"suffix": pairs[0].suffix} if pairs[0].suffix else {}
    options |= {"classes": classes} | ({"values": dict(values)} if values else {})
    return Format("images and index masks", f"{READERS}index_masks.read_mask_folders", options)


def _class_folders(archive: Archive, names: list[str]) -> Format | None:
    folders = {posixpath.dirname(name) for name in image_names(archive)}
    if "" in folders or len(folders) < 2:
        return None
    masks = sorted(folder for folder in folders if _is_beside_images(folder, folders))
    if masks:
        raise ViewfinderError(
            f"{archive.path} seems to hold masks in {masks[0]!r}, but no folder holds images of "
            "the same names. Copy conf/dataset/camvid_quarter.yaml and name the folders there."
        )
    classes = {posixpath.basename(folder) for folder in folders}
    parts = sorted(name for name in classes if split_of(re.sub(r"[\W\d_]+", "", name)))
    if len(parts) == len(classes) or len(parts) > 1:
        raise ViewfinderError(
            f"{archive.path} holds images in {', '.join(parts)}, which are splits and no classes, "
            "and nothing that says what the images show. Add the annotations, or sort the images "
            "into one folder a class."
        )
    splits = split_folders({posixpath.dirname(folder) for folder in folders})
    options: dict[str, Any] = {"splits": splits} if splits else _root(folders)
    name = "folders of train, val and test with one folder a class" if splits else "folder a class"
    return Format(name, f"{READERS}folders.read_class_folders", options)


def _is_beside_images(folder: str, folders: Iterable[str]) -> bool:
    """Tell whether a folder is called like the masks of another one, as trainannot and train."""
    kind = mask_ending(folder)
    if kind is None:
        return False
    own = posixpath.basename(folder).lower().removesuffix(kind).rstrip("_- ")
    others = {posixpath.basename(other).lower() for other in folders} - {own + kind}
    return own in others if own else bool(others & {"images", "image", "imgs", "img"})


def _root(folders: Iterable[str]) -> dict[str, str]:
    """Return the folder that holds the class folders; none if it is the archive itself."""
    common = common_folder(folders)
    return {"root": common} if common else {}
