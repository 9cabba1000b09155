"""Splits by index: slices of a data set, such as ``[:10%]`` or ``train[:1000]``."""

import random
import re
from collections import defaultdict
from collections.abc import Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.splits.assign import Assignment
from viewfinder.errors import ViewfinderError

_SLICE = re.compile(r"(train|val|test|all)?(?:\[(\d+%?)?:(\d+%?)?\])?")
_NUMBER = re.compile(r"(\d+)")


def slice_split(
    records: Sequence[Record],
    *,
    train: str,
    val: str,
    test: str,
    each_class: bool = False,
    shuffle: int | None = None,
) -> Assignment:
    """Take slices of the images as the splits; images outside them are not used.

    A slice is written as in TensorFlow Datasets: ``[:10%]``, ``[10%:25%]``, ``train[:1000]``,
    ``test``. The name says which of the authors' splits it is taken from; without it all images
    are meant, and so they are by ``train`` if the authors made no split. The images stand in the
    natural order of their paths: ``cat.9.jpg`` before ``cat.10.jpg``.

    Args:
        records: The images.
        train: Slice for training.
        val: Slice for validation.
        test: Slice for testing.
        each_class: Whether each class is sliced by itself; the images need one class each.
        shuffle: Seed of a shuffle before the slices are taken; None keeps the order.

    Raises:
        ViewfinderError: If a slice is written wrongly or holds nothing, or two of them overlap.
    """
    ordered = sorted(records, key=lambda record: _natural(record.id))
    if shuffle is not None:
        random.Random(shuffle).shuffle(ordered)
    slices: dict[Split, str] = {"train": train, "val": val, "test": test}
    official = any(record.split for record in records)
    chosen = {split: _take(ordered, text, each_class, official) for split, text in slices.items()}
    owner: dict[str, Split] = {}
    for split in SPLITS:
        if not chosen[split]:
            raise ViewfinderError(
                f"The slice {slices[split]!r} for {split} holds none of the {len(records)} images."
            )
        for name in chosen[split]:
            other = owner.setdefault(name, split)
            if other != split:
                raise ViewfinderError(
                    f"The slices {slices[other]!r} for {other} and {slices[split]!r} for {split} "
                    f"overlap: {name!r} is in both."
                )
    return {split: [record for record in records if record.id in chosen[split]] for split in SPLITS}


def _take(ordered: Sequence[Record], text: str, each_class: bool, official: bool) -> set[str]:
    match = _SLICE.fullmatch(text.replace(" ", ""))
    if match is None or not text:
        raise ViewfinderError(
            f"The slice {text!r} is not understood; expected such as [:10%], [1000:1500] or "
            "train[25%:]."
        )
    source, start, end = match.groups()
    if source in ("val", "test") and not official:
        raise ViewfinderError(
            f"The slice {text!r} is of the data set's own split, and it has none. Name all images: "
            "such as [:10%], all[10%:25%] or train[25%:]."
        )
    whole = (None, "all") if official else (None, "all", "train")
    pool = [record for record in ordered if source in whole or source == record.split]
    if not each_class:
        return _cut(pool, start, end)
    if any(record.label is None for record in pool):
        raise ViewfinderError("Slices of each class need images with exactly one class.")
    by_class: defaultdict[int | None, list[Record]] = defaultdict(list)
    for record in pool:
        by_class[record.label].append(record)
    return {name for images in by_class.values() for name in _cut(images, start, end)}


def _cut(pool: Sequence[Record], start: str | None, end: str | None) -> set[str]:
    first = _index(start, len(pool)) if start else 0
    last = _index(end, len(pool)) if end else len(pool)
    return {record.id for record in pool[first:last]}


def _index(text: str, length: int) -> int:
    return round(int(text[:-1]) * length / 100) if text.endswith("%") else int(text)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts numbers in a path by their value."""
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in _NUMBER.split(name)
    ]
