"""Instance masks: one binary image an object, or one image that numbers the objects."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from viewfinder.data.archive import Archive
from viewfinder.data.mask_pixels import decode_binary, decode_indices
from viewfinder.data.readers.members import image_names, stems_in
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.refusals import Refused
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress


def read_instance_folders(
    archive: Archive,
    *,
    class_name: str,
    images: str = "images",
    masks: str = "masks",
) -> Reading:
    """Read images that each have a folder of masks: ``<id>/images/<id>.png``, ``<id>/masks/*``.

    A mask is black but for its one object. Boxes are drawn around the masks; a mask without an
    object is kept as a box without an area, for the report.

    Args:
        archive: The data set's archive.
        class_name: Name of the one class.
        images: Name of the folder that holds the image.
        masks: Name of the folder beside it that holds its masks.

    Raises:
        ViewfinderError: If there are no images.
    """
    refused = Refused(archive)
    pictures: dict[str, str] = {}
    files: defaultdict[str, list[str]] = defaultdict(list)
    for name in image_names(archive):
        folder = PurePosixPath(name).parent
        if folder.name == masks:
            files[str(folder.parent)].append(name)
        elif folder.name != images:
            refused.without_label([name], f"in a folder {images!r} or {masks!r}", "Move it.")
        elif (other := pictures.setdefault(str(folder.parent), name)) != name:
            for image in (other, name):
                refused.add(
                    image,
                    f"{str(folder)!r} holds several images; expected one beside the folder "
                    f"{masks!r}. Give each image a folder of its own.",
                )
    missing = [image for key, image in pictures.items() if key not in files]
    refused.without_label(missing, f"to have masks in a folder {masks!r}", "Add them.")
    orphans = [path for key, paths in files.items() if key not in pictures for path in paths]
    refused.without_image(orphans, f"a folder {masks!r}")
    records = []
    with progress(pictures.items(), "masks") as items:
        for key, image in items:
            with refused.catch(image):
                instances = [_binary(archive, path) for path in files[key]]
                records.append(_record(image, instances, files[key]))
    return refused.reading([class_name], ["objects"], records)


def read_instance_maps(
    archive: Archive, *, class_name: str, images: str, masks: str, suffix: str = ""
) -> Reading:
    """Read images that each have one mask that numbers its objects, with 0 as the background.

    Args:
        archive: The data set's archive.
        class_name: Name of the one class.
        images: The folder of the images.
        masks: The folder of the masks.
        suffix: What a mask's name has behind that of its image, such as ``_mask``.

    Raises:
        ViewfinderError: If there are no images.
    """
    refused = Refused(archive)
    found = image_names(archive)
    pictures, files = (stems_in(found, folder, refused) for folder in (images, masks))
    if not pictures:
        raise ViewfinderError(f"{archive.path} has no images in {images!r}; correct `images`.")
    missing = [image for name, image in pictures.items() if name + suffix not in files]
    refused.without_label(missing, f"to have a mask in {masks!r}", "Add it.")
    owners = {name + suffix for name in pictures}
    orphans = [path for name, path in files.items() if name not in owners]
    refused.without_image(orphans, f"the folder {masks!r}")
    records = []
    with progress(pictures.items(), "masks") as items:
        for name, image in items:
            path = files.get(name + suffix)
            if path is not None:
                with refused.catch(image):
                    values = decode_indices(archive.read(path), f"its mask {path!r}")
                    instances = [values == value for value in np.unique(values) if value != 0]
                    records.append(_record(image, instances, [path] * len(instances)))
    return refused.reading([class_name], ["objects"], records)


def _record(image: str, instances: Sequence[NDArray[np.bool_]], paths: Sequence[str]) -> Record:
    sizes = {mask.shape[::-1]: path for mask, path in zip(instances, paths, strict=True)}
    if len(sizes) > 1:
        raise ViewfinderError(
            "its masks differ in size: "
            + ", ".join(f"{path!r} is {size[0]} x {size[1]}" for size, path in sizes.items())
            + ". Expected all as large as the image: correct them."
        )
    size = next(((size[0], size[1]) for size in sizes), None)
    return Record(image, size=size, objects=tuple(map(_object, instances)))


def _object(mask: NDArray[np.bool_]) -> Object:
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]
    box = (float(left), float(top), float(left + width), float(top + height))
    return Object(box, category=0, rle=bytes(rle))


def _binary(archive: Archive, path: str) -> NDArray[np.bool_]:
    return decode_binary(archive.read(path), f"its mask {path!r}")
