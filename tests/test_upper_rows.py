"""Of an image that is cropped, only the rows down to the crop's end are decoded."""

from typing import Any

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from split_project import encode, picture

from viewfinder.data.loading.decode import decode_roughly

HEIGHT, WIDTH = 75, 93
SCAN = b"\xff\xda"
END = b"\xff\xd9"


def photo() -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture(5, 96)[:HEIGHT, :WIDTH])


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 48, HEIGHT - 1])
@pytest.mark.parametrize("quality", [40, 100])
@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_upper_rows_are_those_of_the_whole_image(subsampling: str, quality: int, rows: int) -> None:
    content = simplejpeg.encode_jpeg(photo(), quality, colorsubsampling=subsampling)
    upper = decode_roughly(content, "photo", rows=rows)
    assert upper.shape == (rows, WIDTH, 3)
    np.testing.assert_array_equal(upper, decode_roughly(content, "photo")[:rows])


def test_upper_rows_of_a_camera_held_upright() -> None:
    content = encode(photo(), "JPEG", exif=exif(1))
    upper = decode_roughly(content, "photo", rows=20)
    np.testing.assert_array_equal(upper, decode_roughly(content, "photo")[:20])
    assert len(upper) == 20


@pytest.mark.parametrize("rows", [HEIGHT, HEIGHT + 1])
def test_all_rows_are_the_whole_image(rows: int) -> None:
    content = encode(photo(), "JPEG")
    whole = decode_roughly(content, "photo")
    np.testing.assert_array_equal(decode_roughly(content, "photo", rows=rows), whole)


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_blocks": 2}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("JPEG", {"exif": exif(3)}),
        ("JPEG", {"exif": exif(6)}),
        ("PNG", {}),
    ],
    ids=["progressive", "restarts in rows", "restarts of rows", "upside down", "sideways", "PNG"],
)
def test_files_stored_otherwise_are_decoded_whole(
    kind: str, options: dict[str, Any], rows: int
) -> None:
    content = encode(photo(), kind, **options)
    whole = decode_roughly(content, "photo")
    np.testing.assert_array_equal(decode_roughly(content, "photo", rows=rows), whole)


def test_a_reduced_image_has_at_least_the_rows_asked_for() -> None:
    content = encode(photo(), "JPEG")
    whole = decode_roughly(content, "photo", 2)
    np.testing.assert_array_equal(decode_roughly(content, "photo", 2, rows=40)[:20], whole[:20])


def without(content: bytes, start: float, end: float) -> bytes:
    """Return a file that lacks some of its pixels' data, given as shares of them."""
    first, last = content.index(SCAN) + 14, len(content) - len(END)
    begin, finish = (first + round(share * (last - first)) for share in (start, end))
    return content[:begin] + content[finish:]


def test_rows_that_are_missing_are_found_missing() -> None:
    whole = encode(photo(), "JPEG", quality=95)
    content = without(whole, 0.4, 1)
    damaged = decode_roughly(content, "photo")
    assert (damaged != decode_roughly(whole, "photo")).any()
    upper = decode_roughly(content, "photo", rows=HEIGHT - 10)
    np.testing.assert_array_equal(upper, damaged)


@pytest.mark.parametrize("stray", [b"\0", b"1234567"])
def test_stray_bytes_before_the_end_change_nothing(stray: bytes) -> None:
    whole = encode(photo(), "JPEG")
    content = whole.removesuffix(END) + stray + END
    expected = decode_roughly(whole, "photo")
    np.testing.assert_array_equal(decode_roughly(content, "photo"), expected)
    np.testing.assert_array_equal(decode_roughly(content, "photo", rows=20), expected[:20])


@pytest.mark.parametrize("behind", [b"\0", b"trailer" * 99])
def test_upper_rows_of_a_file_that_goes_on_behind_its_end(behind: bytes) -> None:
    content = encode(photo(), "JPEG")
    upper = decode_roughly(content + behind, "photo", rows=20)
    np.testing.assert_array_equal(upper, decode_roughly(content, "photo")[:20])
    assert len(upper) == 20


def test_what_is_missing_below_the_rows_does_not_matter() -> None:
    whole = encode(photo(), "JPEG", quality=95)
    content = without(whole, 0.8, 1)
    upper = decode_roughly(content, "photo", rows=20)
    np.testing.assert_array_equal(upper, decode_roughly(whole, "photo")[:20])
