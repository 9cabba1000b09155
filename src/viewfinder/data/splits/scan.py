"""One look at every image of a data set, before anything is divided."""

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.archive import Archive
from viewfinder.data.readers.record import Record
from viewfinder.data.splits.options import Reaction
from viewfinder.data.splits.pixels import Look, UnreadableImageError, look_at
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

_CHUNK_IMAGES = 64
_CHUNK_BYTES = 16 * 2**20
_NAMED_PROBLEMS = 5

_Chunk = list[tuple[Record, bytes | str]]
_Seen = list[tuple[Record, Look | str]]


@dataclass(frozen=True)
class LeftOut:
    """An image that can't be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What was seen in the images of a data set; the rows of the arrays are its records.

    Attributes:
        records: The records whose image can be used, with its size and fingerprint.
        left_out: The others.
        perceptual: Perceptual hashes, uint64 [N].
        thumbnails: Grey images, uint8 [N, 16, 16].
        means: Mean of red, green and blue in [0, 1], float32 [N, 3].
        squares: Mean of their squares, float32 [N, 3].
    """

    records: list[Record] = field(repr=False)
    left_out: list[LeftOut] = field(repr=False)
    perceptual: NDArray[np.uint64] = field(repr=False)
    thumbnails: NDArray[np.uint8] = field(repr=False)
    means: NDArray[np.float32] = field(repr=False)
    squares: NDArray[np.float32] = field(repr=False)


def scan_images(
    records: Sequence[Record], archive: Archive, *, on_error: Reaction = "fail"
) -> Scan:
    """Decode every image once; keep what it tells and let go of its pixels.

    Args:
        records: The images to look at.
        archive: Where they lie; read in the order of the records, by one thread.
        on_error: Whether images that can't be used are refused, or left out and listed.

    Raises:
        ViewfinderError: If there is no image that can be used; or an image can't be read, is not
            as large as its annotations say, or stands twice, and ``on_error`` is ``fail``.
    """
    good: list[tuple[Record, Look]] = []
    left_out: list[LeftOut] = []
    # Very large images are decoded; those beyond Pillow's limit are refused by an error.
    with (
        warnings.catch_warnings(),
        progress(
            _look_at_all(_chunks(records, archive)), "looking at the images", len(records)
        ) as seen,
    ):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for record, found in seen:
            if isinstance(found, str):
                left_out.append(LeftOut(record.id, found))
            else:
                good.append((record, found))
    if left_out and (on_error == "fail" or not good):
        raise ViewfinderError(_refusal(left_out, len(records), archive))
    if not good:
        raise ViewfinderError(f"{archive.path}: the reader found no images in it.")
    looks = [look for _, look in good]
    return Scan(
        records=[
            replace(record, size=look.size, fingerprint=look.digest.hex()) for record, look in good
        ],
        left_out=left_out,
        perceptual=np.array([look.perceptual for look in looks], np.uint64),
        thumbnails=np.array([look.thumbnail for look in looks], np.uint8).reshape(-1, 16, 16),
        means=np.array([look.mean for look in looks], np.float32).reshape(-1, 3),
        squares=np.array([look.square for look in looks], np.float32).reshape(-1, 3),
    )


def _chunks(records: Iterable[Record], archive: Archive) -> Iterator[_Chunk]:
    """Read the images' bytes; a chunk is bounded in images and in bytes."""
    chunk: _Chunk = []
    size = 0
    names: set[str] = set()
    for record in records:
        content: bytes | str
        try:
            content = record.read(archive)
        except ViewfinderError as error:
            content = str(error).removesuffix(".")
        if record.id in names:
            content = "its name stands twice in the data set"
        names.add(record.id)
        chunk.append((record, content))
        size += len(content)
        if len(chunk) >= _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    yield chunk


def _look_at_all(chunks: Iterator[_Chunk]) -> Iterator[tuple[Record, Look | str]]:
    """Decode in as many threads as there are cores, in order, few chunks ahead."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    pending: deque[Future[_Seen]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks:
            pending.append(pool.submit(_look_at_chunk, chunk))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _look_at_chunk(chunk: _Chunk) -> _Seen:
    return [
        (record, content if isinstance(content, str) else _look(record, content))
        for record, content in chunk
    ]


def _look(record: Record, content: bytes) -> Look | str:
    try:
        look = look_at(content)
    except UnreadableImageError as error:
        return str(error)
    if record.size is not None and record.size != look.size:
        return (
            f"it is {look.size[0]} x {look.size[1]} pixels, but its annotations are for "
            f"{record.size[0]} x {record.size[1]}"
        )
    return look


def _refusal(left_out: Sequence[LeftOut], total: int, archive: Archive) -> str:
    named = "; ".join(f"{item.id!r}: {item.reason}" for item in left_out[:_NAMED_PROBLEMS])
    more = len(left_out) - _NAMED_PROBLEMS
    return (
        f"{archive.path}: {len(left_out)} of {total} images can't be used: {named}"
        f"{f'; and {more} more' if more > 0 else ''}. Correct the files, or leave such images out "
        "with `on_error: skip` under `split:` in the data set's config; they are listed then."
    )
