"""Every kind of image file gives the RGB pixels that a viewer shows."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from split_project import encode, picture

from viewfinder.data.image_size import image_size
from viewfinder.data.loading.decode import Decoder, decode_image, decode_roughly
from viewfinder.data.splits.pixels import decode as decode_for_split
from viewfinder.errors import ViewfinderError

HEIGHT, WIDTH = 37, 53
EXIF_MARKER, SCAN_MARKER = b"\xff\xe1", b"\xff\xda"
ORIENTATION = 0x0112


def scene() -> NDArray[np.uint8]:
    return picture(7, 64)[:HEIGHT, :WIDTH]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_pillow_shows(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 95, "subsampling": 0}, {"progressive": True}, {"optimize": True}],
)
def test_jpeg_of_colours(options: dict[str, Any]) -> None:
    content = encode(scene(), "JPEG", **options)
    difference = np.abs(decode_image(content, "a").astype(int) - as_pillow_shows(content))
    assert difference.max() <= 1


def test_grey_jpeg_has_three_equal_channels() -> None:
    content = encode(scene()[..., 0], "JPEG", quality=95)
    decoded = decode_image(content, "a")
    assert np.abs(decoded.astype(int) - as_pillow_shows(content)).max() <= 1
    assert (decoded == decoded[..., :1]).all()


def test_cmyk_jpeg() -> None:
    content = saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95)
    decoded = decode_image(content, "a").astype(int)
    assert np.abs(decoded - as_pillow_shows(content)).max() <= 1
    assert np.abs(decoded - scene()).mean() < 8


def with_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = np.linspace(0, 255, pixels.shape[1]).astype(np.uint8)
    return np.dstack([pixels, np.broadcast_to(alpha, pixels.shape[:2])])


def grey(levels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=2)


def palette(transparency: bytes | None = None) -> tuple[bytes, NDArray[np.uint8]]:
    image = Image.fromarray(scene()).quantize(64)
    options = {} if transparency is None else {"transparency": transparency}
    return saved(image, "PNG", **options), np.asarray(image.convert("RGB"))


def deep_grey() -> NDArray[np.uint16]:
    return np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)


def deep_colour_png() -> bytes:
    """Return a PNG of 16-bit red, green and blue, which Pillow can't write."""
    import cv2

    deep = scene()[..., ::-1].astype(np.uint16) * 256 + 77
    return bytes(cv2.imencode(".png", deep)[1])


LOSSLESS: dict[str, Callable[[], tuple[bytes, NDArray[np.uint8]]]] = {
    "png": lambda: (encode(scene()), scene()),
    "grey png": lambda: (encode(scene()[..., 1]), grey(scene()[..., 1])),
    "black and white png": lambda: (
        saved(Image.fromarray(scene()[..., 0] > 127), "PNG"),
        grey((scene()[..., 0] > 127) * 255),
    ),
    "png with alpha": lambda: (encode(with_alpha(scene())), scene()),
    "grey png with alpha": lambda: (
        saved(Image.fromarray(with_alpha(scene())[..., [0, 3]], "LA"), "PNG"),
        grey(scene()[..., 0]),
    ),
    "palette png": palette,
    "palette png with alpha": lambda: palette(bytes(range(0, 256, 4))),
    "16-bit grey png": lambda: (encode(deep_grey()), grey(deep_grey() >> 8)),
    "16-bit png": lambda: (deep_colour_png(), scene()),
    "16-bit tiff": lambda: (encode(deep_grey(), "TIFF"), grey(deep_grey() >> 8)),
    "tiff": lambda: (encode(scene(), "TIFF"), scene()),
    "bmp": lambda: (encode(scene(), "BMP"), scene()),
    "webp": lambda: (encode(scene(), "WEBP", lossless=True), scene()),
    "webp with alpha": lambda: (
        encode(with_alpha(scene()), "WEBP", lossless=True, exact=True),
        scene(),
    ),
    "gif": lambda: (
        saved(Image.fromarray(scene()[..., 0]), "GIF"),
        grey(scene()[..., 0]),
    ),
    "ppm": lambda: (encode(scene(), "PPM"), scene()),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_their_very_pixels(kind: str) -> None:
    content, expected = LOSSLESS[kind]()
    for given in (content, memoryview(pa.py_buffer(content))):
        decoded = decode_image(given, kind)
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, expected)
        decoded[0, 0] = 1  # tensors are made of it, which must be writable


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = encode(scene(), kind, exif=exif.tobytes(), **lossless)
    expected = as_pillow_shows(content)
    assert expected.shape[:2] == ((WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH))
    decoded = decode_image(content, kind)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= 1
    half = decode_image(content, kind, 2)
    assert half.shape[:2] == tuple(-(-side // 2) for side in expected.shape[:2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_image_is_the_average_of_what_it_covers(kind: str, reduction: Any) -> None:
    pixels = picture(3, 128)[:123, :125] if kind != "GIF" else picture(3, 128)[:123, :125, 0]
    content = encode(pixels, kind, **({"quality": 95} if kind == "JPEG" else {}))
    reduced = decode_image(content, "a", reduction).astype(int)
    assert reduced.shape == (-(-123 // reduction), -(-125 // reduction), 3)
    whole = decode_image(content, "a")[
        : 120 // reduction * reduction, : 120 // reduction * reduction
    ]
    sides = (len(whole) // reduction, reduction, whole.shape[1] // reduction, reduction, 3)
    expected = whole.reshape(sides).mean(axis=(1, 3))
    inner = reduced[: expected.shape[0], : expected.shape[1]]
    assert np.abs(inner - expected).mean() < 2.5


def test_rough_decoding_keeps_brightness_and_the_mean_colour() -> None:
    content = encode(64 + picture(3, 96) // 2, "JPEG", quality=90)
    exact, rough = (decode(content, "a").astype(int) for decode in (decode_image, decode_roughly))
    assert (rough != exact).any()
    luminance = np.array([0.299, 0.587, 0.114])
    assert np.abs((rough - exact) @ luminance).max() < 1
    assert np.abs((rough - exact).mean(axis=(0, 1))).max() < 0.1
    assert np.abs(rough - exact).mean() < 2


@pytest.mark.parametrize("pixels", [scene(), scene()[..., 0]], ids=["colours", "grey"])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_split_stage_sees_what_pillow_shows(
    pixels: NDArray[np.uint8], options: dict[str, Any], orientation: int
) -> None:
    content = encode(pixels, "JPEG", exif=exif_of(Orientation=orientation), **options)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode_for_split(content), expected)


def exif_of(**tags: Any) -> Image.Exif:
    exif = Image.Exif()
    exif.update({ExifTags.Base[name]: value for name, value in tags.items()})
    return exif


@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_their_exif_data_say(orientation: int) -> None:
    content = encode(scene(), "JPEG", exif=exif_of(Orientation=orientation, Make="Camera"))
    for decode in (decode_image, decode_roughly):
        stored = Image.fromarray(decode(encode(scene(), "JPEG"), "a"))
        stored.getexif()[ORIENTATION] = orientation
        expected = np.asarray(ImageOps.exif_transpose(stored))
        np.testing.assert_array_equal(decode(content, "a"), expected)
        assert decode(content, "a").flags.c_contiguous


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged data
@pytest.mark.parametrize("place", [10, 18, 20, 22, 24, 28])
@pytest.mark.parametrize("orientation", [6, 0x600])
def test_damaged_exif_data_turn_an_image_for_all_or_none(place: int, orientation: int) -> None:
    """The places are of the byte order, the number of tags, a tag, its type, count and value."""
    content = bytearray(encode(scene(), "JPEG", exif=exif_of(Orientation=orientation)))
    content[content.index(EXIF_MARKER) + place] ^= 0x80
    check_all_agree(bytes(content))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image", ["JPEG", "PNG", "WEBP"])
def test_all_read_an_orientation_of_any_type_of_number(image: str, order: str, kind: int) -> None:
    start = b"II*\0" if order == "<" else b"MM\0*"
    value = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    tag = struct.pack(f"{order}IHHHI{value}I", 8, 1, ORIENTATION, kind, 1, 6, 0)
    check_all_agree(encode(scene(), image, exif=b"Exif\0\0" + start + tag))


def test_all_read_the_exif_data_that_old_tools_write_as_text_of_a_png() -> None:
    data = b"Exif\0\0" + exif_of(Orientation=6).tobytes().removeprefix(b"Exif\0\0")
    chunk = PngInfo()
    chunk.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n", zip=True)
    content = encode(scene(), "PNG", pnginfo=chunk)
    assert decode_image(content, "a").shape == (WIDTH, HEIGHT, 3)
    check_all_agree(content)


def test_all_see_the_same_picture_of_an_animated_png() -> None:
    pictures = [Image.fromarray(picture(number, 64)) for number in range(3)]
    options = {"save_all": True, "append_images": pictures[1:], "default_image": True}
    content = saved(pictures[0], "PNG", **options)
    check_all_agree(content)
    np.testing.assert_array_equal(decode_image(content, "a"), np.asarray(pictures[0]))


def check_all_agree(content: bytes) -> None:
    seen = decode_for_split(content)
    for decode in (decode_image, decode_roughly):
        decoded = decode(content, "a")
        assert decoded.shape == seen.shape
        assert np.abs(decoded.astype(int) - seen).mean() < 8
    for whole in (False, True):
        assert image_size(content, "a", whole=whole) == seen.shape[1::-1]


def test_exif_data_in_two_pieces_are_joined() -> None:
    content = encode(scene(), "JPEG", exif=exif_of(Orientation=6, Make="Camera of a long name"))
    start = content.index(EXIF_MARKER) + 4
    length = int.from_bytes(content[start - 2 : start], "big") - 2
    exif, behind = content[start : start + length], content[start + length :]
    pieces = [exif[:40], exif[:6] + exif[40:]]
    segments = [EXIF_MARKER + struct.pack(">H", len(piece) + 2) + piece for piece in pieces]
    divided = content[: start - 4] + b"".join(segments) + behind
    assert decode_image(divided, "a").shape == (WIDTH, HEIGHT, 3)
    check_all_agree(divided)


@pytest.mark.parametrize("behind", [b"\0", bytes(16), b"trailer of a camera" * 99])
def test_what_a_camera_writes_behind_the_end_changes_nothing(behind: bytes) -> None:
    content = encode(scene(), "JPEG")
    for decode in (decode_image, decode_roughly):
        for reduction in (1, 2):
            expected = decode(content, "a", reduction)
            np.testing.assert_array_equal(decode(content + behind, "a", reduction), expected)


def test_rough_decoding_finds_exif_data_behind_the_frame() -> None:
    content = encode(scene(), "JPEG", exif=exif_of(Orientation=6))
    start = content.index(EXIF_MARKER)
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    without = content[:start] + content[end:]
    scan = without.index(SCAN_MARKER)
    moved = without[:scan] + content[start:end] + without[scan:]
    height, width = scene().shape[:2]
    assert decode_roughly(moved, "a").shape == (width, height, 3)


@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize(
    "content",
    [
        encode(scene()[..., 0], "JPEG"),
        encode(scene()),
        saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"),
    ],
    ids=["grey", "PNG", "CMYK"],
)
def test_rough_decoding_of_other_files_is_exact(content: bytes, reduction: Any) -> None:
    rough = decode_roughly(content, "a", reduction)
    assert (rough == decode_image(content, "a", reduction)).all()


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def sideways_files() -> dict[str, bytes]:
    """Return files that say in some way that they lie on their side."""
    exif = exif_of(Orientation=6)
    chunk = PngInfo()
    chunk.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return {
        "JPEG, EXIF": encode(scene(), "JPEG", exif=exif),
        "JPEG, XMP": encode(scene(), "JPEG", xmp=XMP),
        "PNG, EXIF": encode(scene(), "PNG", exif=exif),
        "PNG, XMP": encode(scene(), "PNG", pnginfo=chunk),
        "WebP, EXIF": encode(scene(), "WEBP", exif=exif.tobytes()),
        "WebP, XMP": encode(scene(), "WEBP", xmp=XMP),
        "TIFF": encode(scene(), "TIFF", tiffinfo={ORIENTATION: 6}),
    }


@pytest.mark.parametrize("name", sideways_files())
def test_all_that_read_an_image_see_it_the_same_way_up(name: str) -> None:
    content = sideways_files()[name]
    turned = not name.endswith("XMP")  # which OpenCV, PyTorch and browsers do not heed
    height, width = (WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH)
    for decode in (decode_image, decode_roughly):
        assert decode(content, name).shape == (height, width, 3)
    assert decode_for_split(content).shape[:2] == (height, width)
    for whole in (False, True):
        assert image_size(content, name, whole=whole) == (width, height)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_in_words_is_none(kind: str) -> None:
    words = b"up\0\0"
    entry = struct.pack("<HHI4s", ORIENTATION, 2, len(words), words)  # type 2: text
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    content = encode(scene(), kind, exif=exif)
    assert image_size(content, "a") == (WIDTH, HEIGHT)
    assert decode_image(content, "a").shape == scene().shape
    assert decode_for_split(content).shape == scene().shape


@pytest.mark.parametrize("decode", [decode_image, decode_roughly])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("reduction", [1, 2])
def test_damaged_files_are_refused_by_name(decode: Decoder, kind: str, reduction: Any) -> None:
    whole = encode(picture(1, 96), kind)
    for content in (whole[: len(whole) // 2], whole[:20], b"", b"some text"):
        with pytest.raises(ViewfinderError, match=rf"'dog/1' \({len(content)} bytes\)"):
            decode(content, "dog/1", reduction)
