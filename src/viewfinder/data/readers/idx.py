"""MNIST's idx files: one array of images and one of labels a split."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.archive import Archive
from viewfinder.data.readers.png import encode_png
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.readers.refusals import check_class_names, check_splits
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_UNSIGNED_BYTES = 8


def read_idx(
    archive: Archive,
    *,
    images: Mapping[Split, str],
    labels: Mapping[Split, str],
    classes: Sequence[str],
) -> Reading:
    """Read images and labels from idx files, as MNIST and its relatives have them.

    The images become PNG files named after their position.

    Args:
        archive: The data set's archive.
        images: The file of each split's images, uint8 [N, H, W] or [N, H, W, 3].
        labels: The file of each split's labels, uint8 [N].
        classes: Class names, in the order of the labels.

    Raises:
        ViewfinderError: If a file is no idx file of that shape, the numbers of images and labels
            differ, or a label is beyond the classes.
    """
    check_splits(images, "images")
    check_class_names(archive, classes)
    if images.keys() != labels.keys():
        raise ViewfinderError(
            f"The reader has `images` for {list(images)} and `labels` for {list(labels)}; "
            "expected the same splits."
        )
    records: list[Record] = []
    for split, path in images.items():
        pixels = _array(archive, path, (3, 4))
        numbers = _array(archive, labels[split], (1,))
        if len(pixels) != len(numbers):
            raise ViewfinderError(
                f"{archive.path}: {path!r} has {len(pixels)} images, but {labels[split]!r} has "
                f"{len(numbers)} labels. Expected one each: fetch both again."
            )
        beyond = np.flatnonzero(numbers >= len(classes))
        if beyond.size:
            raise ViewfinderError(
                f"{archive.path}: {labels[split]!r} has the label {numbers[beyond[0]]} at position "
                f"{beyond[0]}; expected 0 to {len(classes) - 1}. Correct the reader's `classes`."
            )
        records += [
            Record(
                id=f"{path}/{position:06d}.png",
                label=int(label),
                split=split,
                content=partial(encode_png, pixels[position]),
            )
            for position, label in enumerate(numbers)
        ]
    return Reading(list(classes), ["label"], records)


def _array(archive: Archive, path: str, dimensions: Sequence[int]) -> NDArray[np.uint8]:
    """Read an idx file: its kind and number of dimensions, their sizes, then the values."""
    content = archive.read(path)
    kind, count = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    start = 4 + 4 * count
    if content[:2] != b"\0\0" or kind != _UNSIGNED_BYTES or count not in dimensions:
        raise ViewfinderError(
            f"{archive.path}: {path!r} is not an idx file of unsigned bytes with "
            f"{' or '.join(map(str, dimensions))} dimensions (it starts with "
            f"{content[:4].hex() or 'nothing'}). Name the right file in the reader's options."
        )
    shape = [int.from_bytes(content[4 * axis : 4 * axis + 4]) for axis in range(1, count + 1)]
    if len(content) - start != math.prod(shape):
        raise ViewfinderError(
            f"{archive.path}: {path!r} holds {max(len(content) - start, 0)} values; expected "
            f"{' x '.join(map(str, shape))}. It is damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
