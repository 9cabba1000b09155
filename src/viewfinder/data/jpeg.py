"""JPEG files by their markers, decoded fast, and their upper rows alone if need be."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FILLING = 0xFF
# Start-of-frame markers, less those of Huffman tables, arithmetic coding and its extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
_APPLICATION_1 = 0xE1
_EXIF_START = b"Exif\0\0"
_RESTARTS = 0xDD
_SCAN = 0xDA
# What libjpeg says of a file that holds more than the rows it tells of, and is not damaged before.
_MORE_THAN_ROWS = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9")
_DAMAGE = re.compile(
    r"Premature end of JPEG file|Corrupt JPEG data: "
    r"(premature end of data segment|bad Huffman code|found marker 0x.. instead of RST\d)"
)


class JpegHeader(NamedTuple):
    """What the markers before the pixels say.

    Attributes:
        place: Where the height stands, bytes from the start.
        height: Rows.
        width: Columns.
        components: 1 for grey, 3 for colours, 4 for CMYK.
        in_rows: Whether one row is stored after the other, with all components, without restarts.
        exif: EXIF data, joined as Pillow joins them; empty if there are none.
    """

    place: int
    height: int
    width: int
    components: int
    in_rows: bool
    exif: bytes


def read_header(content: memoryview) -> JpegHeader | None:
    """Return what the markers of a JPEG file say; None if it is not a whole one.

    Args:
        content: The file, unsigned bytes.
    """
    if content[:2] != _START:
        return None
    segments = list(_segments(content))
    places = dict(segments)
    frame = next((place for marker, place in places.items() if marker in _FRAMES), None)
    scan = places.get(_SCAN)
    if frame is None or scan is None or not _ends(content, scan):
        return None
    components = content[frame + 9]
    return JpegHeader(
        place=frame + 5,
        height=_number(content, frame + 5),
        width=_number(content, frame + 7),
        components=components,
        in_rows=(
            content[frame + 1] in _SEQUENTIAL_FRAMES
            and content[scan + 4] == components
            and _RESTARTS not in places
        ),
        exif=_exif(content, [place for marker, place in segments if marker == _APPLICATION_1]),
    )


def decode_rows(content: memoryview, header: JpegHeader, rows: int) -> NDArray[np.uint8] | None:
    """Decode the first rows, each pixel with the nearest of the colours stored.

    For less than all rows the decoder gets a header that tells of so many, and stops after them.
    It then says that the file holds more than that, unless something else was wrong first; so it
    says of the stray bytes that some cameras leave behind the last row.

    Args:
        content: The file, unsigned bytes.
        header: What its markers say: three components; in rows, if not all of them are wanted.
        rows: How many rows.

    Returns:
        Pixels as they are stored, uint8 [rows, W, 3]; None if the rows are damaged.
    """
    room = np.empty((rows, header.width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(_with_rows(content, header, rows), fastupsample=True, buffer=room)
    except ValueError as error:
        if _MORE_THAN_ROWS.fullmatch(str(error)) is None:
            return None
    return room


def decode_exactly(
    content: memoryview, header: JpegHeader
) -> tuple[NDArray[np.uint8], str | None] | None:
    """Decode a grey or coloured file to the pixels that Pillow and OpenCV give.

    Args:
        content: The file, unsigned bytes.
        header: What its markers say: one component or three.

    Returns:
        Pixels as they are stored, uint8 [H, W] or [H, W, 3], and what the decoder found damaged
        among them; None if it can't decode the file.
    """
    grey = header.components == 1
    room = np.empty((header.height, header.width, 1 if grey else 3), np.uint8)
    damage = None
    try:
        simplejpeg.decode_jpeg(content, "GRAY" if grey else "RGB", buffer=room)
    except ValueError as error:
        message = str(error)
        if _DAMAGE.fullmatch(message):
            damage = message
        elif _MORE_THAN_ROWS.fullmatch(message) is None:
            return None
    return (room[..., 0] if grey else room), damage


def _with_rows(content: memoryview, header: JpegHeader, rows: int) -> memoryview | bytearray:
    if rows == header.height:
        return content
    shorter = bytearray(content)
    shorter[header.place : header.place + 2] = rows.to_bytes(2, "big")
    return shorter


def _ends(content: memoryview, scan: int) -> bool:
    """Tell whether there is an end behind the pixels; some cameras write more behind it."""
    return content[-2:] == _END or _END in bytes(content[scan:])


def _exif(content: memoryview, places: Sequence[int]) -> bytes:
    segments = [
        bytes(content[place + 4 : place + 2 + _number(content, place + 2)]) for place in places
    ]
    found = [
        segment.removeprefix(_EXIF_START) for segment in segments if segment.startswith(_EXIF_START)
    ]
    return _EXIF_START + b"".join(found) if found else b""


def _segments(content: memoryview) -> Iterator[tuple[int, int]]:
    """Yield marker and place of what stands before the pixels; the last one is their own."""
    marker, place = None, 2
    while marker != _SCAN and place + 9 < len(content) and content[place] == _FILLING:
        marker = content[place + 1]
        if marker == _FILLING:
            place += 1
            continue
        yield marker, place
        place += 2 + _number(content, place + 2)


def _number(content: memoryview, place: int) -> int:
    return 256 * content[place] + content[place + 1]
