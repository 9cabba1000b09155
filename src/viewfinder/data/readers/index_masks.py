"""Images with index masks: a second image whose pixel values are classes."""

from collections.abc import Mapping, Sequence

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import image_names, stems_in
from viewfinder.data.readers.record import MaskFile, Reading, Record
from viewfinder.data.readers.refusals import Refused, check_class_names, check_splits
from viewfinder.data.readers.split_lists import read_split_lists
from viewfinder.data.schema import IGNORE, Split
from viewfinder.errors import ViewfinderError


def read_listed_masks(
    archive: Archive,
    *,
    classes: Sequence[str],
    lists: Mapping[Split, str],
    strip: str = "",
    prefix: str = "",
    images: str | None = None,
    masks: str | None = None,
    values: Mapping[int, int] | None = None,
) -> Reading:
    """Read images and index masks that list files name.

    A line holds the path of an image and that of its mask (CamVid), or with ``images`` and
    ``masks`` the one name that goes into both (Pascal VOC). What no list names is left out: the
    lists are the data set, as in Pascal VOC, which has masks for a part of its images.

    Args:
        archive: The data set's archive.
        classes: Class names; a mask's values count into them.
        lists: The list file of each of the authors' splits.
        strip: What to take off the front of every path in the lists.
        prefix: What to put there instead.
        images: The images' path with ``{name}`` in place of the name.
        masks: The masks' path with ``{name}`` in place of the name.
        values: Class index of those pixel values that are not class indices themselves; 255
            stands for pixels to ignore, such as ``{11: 255}``.

    Raises:
        ViewfinderError: If a list is not valid, or a line names no pair.
    """
    refused = Refused(archive)
    meaning = _meaning(archive, classes, values)
    if (images is None) != (masks is None):
        raise ViewfinderError(
            f"The reader has images={images!r} and masks={masks!r}; expected both or none."
        )
    known = set(archive.names())
    records = []
    for line, split in read_split_lists(archive, lists).items():
        if images is not None and masks is not None:
            image, mask = (path.replace("{name}", line) for path in (images, masks))
        else:
            image, mask = _pair(archive, line, strip, prefix)
        for path in (image, mask):
            if path not in known:
                refused.add(
                    image,
                    f"there is no file {path!r}, which the list {lists[split]!r} names in "
                    f"{line!r}. Add it, or correct the list or the reader's `strip`, `images` and "
                    "`masks`.",
                )
        records.append(Record(image, mask=MaskFile(mask, meaning), split=split))
    return refused.reading(classes, ["mask"], records)


def read_mask_folders(
    archive: Archive,
    *,
    classes: Sequence[str],
    images: str | Mapping[Split, str],
    masks: str | Mapping[Split, str],
    suffix: str = "",
    values: Mapping[int, int] | None = None,
) -> Reading:
    """Read images and index masks that lie in two folders under the same names.

    Args:
        archive: The data set's archive.
        classes: Class names; a mask's values count into them.
        images: The folder of the images, or one for each of the authors' splits.
        masks: The folder of the masks, or one for each of the authors' splits.
        suffix: What a mask's name has behind that of its image, such as ``_mask``.
        values: Class index of those pixel values that are not class indices themselves; 255
            stands for pixels to ignore.

    Raises:
        ViewfinderError: If there are no images in a folder, or an option is not valid.
    """
    refused = Refused(archive)
    meaning = _meaning(archive, classes, values)
    found = image_names(archive)
    records = []
    for split, image_folder, mask_folder in _folder_pairs(images, masks):
        pictures = stems_in(found, image_folder, refused)
        files = stems_in(found, mask_folder, refused)
        if not pictures:
            raise ViewfinderError(
                f"{archive.path} has no images in {image_folder!r}; correct the reader's `images`."
            )
        missing = [image for name, image in pictures.items() if name + suffix not in files]
        refused.without_label(missing, f"to have a mask in {mask_folder!r}", "Add it.")
        owners = {name + suffix for name in pictures}
        orphans = [path for name, path in files.items() if name not in owners]
        refused.without_image(orphans, f"the folder {mask_folder!r}")
        records += [
            Record(image, mask=MaskFile(files[name + suffix], meaning), split=split)
            for name, image in pictures.items()
            if name + suffix in files
        ]
    return refused.reading(classes, ["mask"], records)


def _meaning(
    archive: Archive, classes: Sequence[str], values: Mapping[int, int] | None
) -> dict[int, int] | None:
    """Complete the meaning of the pixel values; None where all stand for themselves."""
    check_class_names(archive, classes)
    if values is None:
        return None
    wrong = {
        key: index for key, index in values.items() if index not in {*range(len(classes)), IGNORE}
    }
    if wrong:
        raise ViewfinderError(
            f"The reader's option `values` has {wrong}; expected class indices from 0 to "
            f"{len(classes) - 1}, or {IGNORE}."
        )
    return {index: index for index in (*range(len(classes)), IGNORE)} | dict(values)


def _pair(archive: Archive, line: str, strip: str, prefix: str) -> tuple[str, str]:
    paths = line.split()
    if len(paths) != 2:
        raise ViewfinderError(
            f"{archive.path}: a list has the line {line!r}; expected the paths of an image and of "
            "its mask. For lists of names, give the reader `images` and `masks`."
        )
    image, mask = (prefix + path.removeprefix(strip).lstrip("/") for path in paths)
    return image, mask


def _folder_pairs(
    images: str | Mapping[Split, str], masks: str | Mapping[Split, str]
) -> list[tuple[Split | None, str, str]]:
    if isinstance(images, str) and isinstance(masks, str):
        return [(None, images, masks)]
    if isinstance(images, str) or isinstance(masks, str) or images.keys() != masks.keys():
        raise ViewfinderError(
            f"The reader has images={images!r} and masks={masks!r}; expected one folder each, or "
            "the same splits in both."
        )
    check_splits(images, "images")
    return [(split, folder, masks[split]) for split, folder in images.items()]
