"""One look at every image of a data set, before anything is divided."""

import os
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.archive import Archive
from viewfinder.data.mask_pixels import distinct
from viewfinder.data.readers.record import LeftOut, Reading, Record
from viewfinder.data.schema import IGNORE
from viewfinder.data.splits.mask import class_indices
from viewfinder.data.splits.options import Reaction
from viewfinder.data.splits.pixels import Look, UnreadableImageError, look_at
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_CHUNK_IMAGES = 64
_CHUNK_BYTES = 16 * 2**20
_NAMED_PROBLEMS = 100

_Seen = list[tuple[Record, Look | str]]


@dataclass(frozen=True)
class _Loaded:
    """The bytes of an image and its mask, or why they can't be had."""

    record: Record
    content: bytes = b""
    mask: bytes = b""
    problem: str | None = None


@dataclass(frozen=True)
class Scan:
    """What was seen in the images of a data set; the rows of the arrays are its records.

    Attributes:
        records: The records whose image can be used, with its size and fingerprint.
        left_out: The others, those that the reader refused first.
        damaged: Ids of those among the records whose pixels are damaged, and what is.
        perceptual: Perceptual hashes, uint64 [N].
        thumbnails: Grey images, uint8 [N, 16, 16].
        means: Mean of red, green and blue in [0, 1], float32 [N, 3].
        squares: Mean of their squares, float32 [N, 3].
    """

    records: list[Record] = field(repr=False)
    left_out: list[LeftOut] = field(repr=False)
    damaged: dict[str, str] = field(repr=False)
    perceptual: NDArray[np.uint64] = field(repr=False)
    thumbnails: NDArray[np.uint8] = field(repr=False)
    means: NDArray[np.float32] = field(repr=False)
    squares: NDArray[np.float32] = field(repr=False)


def scan_images(reading: Reading, archive: Archive, *, on_error: Reaction = "fail") -> Scan:
    """Decode every image and mask once; keep what they tell and let go of their pixels.

    Args:
        reading: The images to look at, and those that the reader refused.
        archive: Where they lie; read in the order of the records, by one thread.
        on_error: Whether samples that can't be used are refused, or left out and listed.

    Raises:
        ViewfinderError: If there is no image that can be used; or the reader refused one, an image
            or mask can't be read, is not as large as its annotations say, holds a class that there
            is not, or stands twice, and ``on_error`` is ``fail``.
    """
    records = reading.records
    good: list[tuple[Record, Look]] = []
    left_out = list(reading.left_out)
    # Very large images are decoded; those beyond Pillow's limit are refused by an error.
    with (
        warnings.catch_warnings(),
        progress(
            _look_at_all(_chunks(records, archive), reading.classes),
            "looking at the images",
            len(records),
        ) as seen,
    ):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for record, found in seen:
            if isinstance(found, str):
                left_out.append(LeftOut(record.id, found))
            else:
                good.append((record, found))
    if left_out and (on_error == "fail" or not good):
        raise ViewfinderError(_refusal(left_out, len(good) + len(left_out), archive))
    if not good:
        raise ViewfinderError(f"{archive.path}: the reader found no images in it.")
    looks = [look for _, look in good]
    return Scan(
        records=[
            replace(record, size=look.size, fingerprint=look.digest.hex()) for record, look in good
        ],
        left_out=left_out,
        damaged={record.id: look.damage for record, look in good if look.damage is not None},
        perceptual=np.array([look.perceptual for look in looks], np.uint64),
        thumbnails=np.array([look.thumbnail for look in looks], np.uint8).reshape(-1, 16, 16),
        means=np.array([look.mean for look in looks], np.float32).reshape(-1, 3),
        squares=np.array([look.square for look in looks], np.float32).reshape(-1, 3),
    )


def _chunks(records: Sequence[Record], archive: Archive) -> Iterator[list[_Loaded]]:
    """Read the images' bytes; a chunk is bounded in images and in bytes."""
    chunk: list[_Loaded] = []
    size = 0
    counts = Counter(record.id for record in records)
    for record in records:
        if counts[record.id] > 1:
            problem = (
                f"its name stands {counts[record.id]} times in the data set; rename the others"
            )
            loaded = _Loaded(record, problem=problem)
        else:
            loaded = _load(record, archive)
        chunk.append(loaded)
        size += len(loaded.content) + len(loaded.mask)
        if len(chunk) >= _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    yield chunk


def _load(record: Record, archive: Archive) -> _Loaded:
    try:
        mask = record.mask.read(archive) if record.mask is not None else b""
        return _Loaded(record, record.read(archive), mask)
    except ViewfinderError as error:
        reason = str(error).removeprefix(f"{archive.path}: ").removesuffix(".")
        return _Loaded(record, problem=reason)


def _look_at_all(
    chunks: Iterator[list[_Loaded]], classes: Sequence[str]
) -> Iterator[tuple[Record, Look | str]]:
    """Decode in as many threads as there are cores, in order, few chunks ahead."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    look_at_chunk = partial(_look_at_chunk, classes=classes)
    pending: deque[Future[_Seen]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks:
            pending.append(pool.submit(look_at_chunk, chunk))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _look_at_chunk(chunk: list[_Loaded], classes: Sequence[str]) -> _Seen:
    return [_look(loaded, classes) for loaded in chunk]


def _look(loaded: _Loaded, classes: Sequence[str]) -> tuple[Record, Look | str]:
    record = loaded.record
    if loaded.problem is not None:
        return record, loaded.problem
    try:
        look = look_at(loaded.content)
        if record.mask is not None:
            name = f"its mask {record.mask.path!r}"
            indices = class_indices(loaded.mask, record.mask.values, classes, look.size, name)
            record = replace(record, in_mask=frozenset(distinct(indices).tolist()) - {IGNORE})
    except (UnreadableImageError, ViewfinderError) as error:
        return record, str(error).removesuffix(".")
    return record, _other_size(record, look.size) or look


def _other_size(record: Record, size: tuple[int, int]) -> str | None:
    """Say that the annotations are for an image of another size, if they are."""
    if record.size is None or record.size == size:
        return None
    if record.size == size[::-1]:
        return (
            f"it is {size[0]} x {size[1]} pixels as its EXIF orientation turns it, but its "
            "annotations are for the pixels as they are stored. Turn the stored pixels back, or "
            "the annotations with them"
        )
    return (
        f"it is {size[0]} x {size[1]} pixels, but its annotations are for "
        f"{record.size[0]} x {record.size[1]}"
    )


def _refusal(left_out: Sequence[LeftOut], total: int, archive: Archive) -> str:
    lines = [f"  {item.id!r}: {item.reason}" for item in left_out[:_NAMED_PROBLEMS]]
    if len(left_out) > _NAMED_PROBLEMS:
        lines.append(f"  and {len(left_out) - _NAMED_PROBLEMS} more")
    return "\n".join(
        [
            f"{archive.path}: {len(left_out)} of {total} samples can't be used:",
            *lines,
            "Correct the files, or leave such samples out with `on_error: skip` under `split:` in "
            "the data set's config; data/splits/<name>/report.json lists them then.",
        ]
    )
