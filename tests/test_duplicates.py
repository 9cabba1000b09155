"""Duplicates: found, kept together, reported; bad images: refused, or left out and listed."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from split_project import STRATIFIED, encode, make_project, members, pets, picture, report, sides

from viewfinder.cli import main
from viewfinder.data.readers.record import Record
from viewfinder.data.splits.duplicates import mark_near_duplicates
from viewfinder.data.splits.pixels import UnreadableImageError, look_at
from viewfinder.data.splits.scan import Scan


def split(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], **options: Any
) -> int:
    monkeypatch.chdir(make_project(folder, files, STRATIFIED | options))
    return main(["split", "pets"])


def with_comment(pixels: np.ndarray) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "another file, the same picture")
    return encode(pixels, pnginfo=info, compress_level=1)


def test_equal_pixels_stay_together_and_their_contradictions_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pets()
    pairs = []
    for index in range(8):
        copy = f"dog/copy{index}.png"
        files[copy] = with_comment(picture(index))
        assert files[copy] != files[f"cat/{index}.png"]
        pairs.append({f"cat/{index}.png", copy})
    files["cat/again.png"] = files["cat/10.png"]
    assert split(tmp_path, monkeypatch, files) == 0
    for pair in pairs:
        assert len(sides(tmp_path, *pair)) == 1
    found = report(tmp_path)["duplicates"]
    assert {frozenset(group) for group in found["exact"]} == {
        *map(frozenset, pairs),
        frozenset({"cat/again.png", "cat/10.png"}),
    }
    named = [{item["id"]: item["classes"] for item in group} for group in found["contradicting"]]
    assert len(named) == 8
    assert {"cat/3.png": ["cat"], "dog/copy3.png": ["dog"]} in named
    assert found["on_two_sides"] == []


def test_pictures_that_look_alike_stay_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pets(24)
    pairs = {}
    for index in range(24):
        original = picture(index)
        brighter = np.clip(original.astype(int) + 12, 0, 255).astype(np.uint8)
        larger = cv2.resize(original, (80, 80), interpolation=cv2.INTER_CUBIC)
        name = f"cat/near{index}.jpg"
        files[name] = encode(brighter if index % 2 else larger, "JPEG", quality=80)
        pairs[name] = f"cat/{index}.png"
    assert split(tmp_path, monkeypatch, files) == 0
    found = {frozenset(group) for group in report(tmp_path)["duplicates"]["near"]}
    assert found == {frozenset(pair) for pair in pairs.items()}
    for pair in pairs.items():
        assert len(sides(tmp_path, *pair)) == 1


def test_the_search_for_pictures_that_look_alike_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pets(10)
    files |= {
        f"cat/near{index}.jpg": encode(picture(index), "JPEG", quality=80) for index in range(10)
    }
    assert split(tmp_path, monkeypatch, files, near_duplicates=False) == 0
    assert report(tmp_path)["duplicates"]["near"] == []


def test_chains_of_pictures_that_look_alike_are_one_group() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 256, (50, 16, 16), np.uint8)
    hashes = generator.integers(0, 2**63, 50).astype(np.uint64)
    thumbnails[10:13] = thumbnails[10]
    for number in (11, 12):
        hashes[number] = hashes[number - 1] ^ np.uint64(0b1010101 << (14 * (number - 11)))
    records = [Record(id=str(n), size=(64, 64), fingerprint=str(n)) for n in range(50)]
    colours = np.zeros((50, 3), np.float32)
    marked = mark_near_duplicates(Scan(records, [], {}, hashes, thumbnails, colours, colours))
    assert [record.id for record in marked if record.cluster is not None] == ["10", "11", "12"]
    assert {record.cluster for record in marked} == {None, "10"}


def peak_of_the_search(count: int) -> int:
    """Return the most memory in use while images that all look alike are searched, bytes."""
    generator = np.random.default_rng(0)
    hashes = np.full(count, generator.integers(2**63), np.uint64)
    hashes ^= np.uint64(1) << generator.integers(0, 64, count).astype(np.uint64)
    colours = np.zeros((count, 3), np.float32)
    thumbnails = np.repeat(generator.integers(0, 256, (1, 16, 16), np.uint8), count, axis=0)
    records = [Record(id=str(n), size=(64, 64), fingerprint=str(n)) for n in range(count)]
    scan = Scan(records, [], {}, hashes, thumbnails, colours, colours)
    tracemalloc.start()
    marked = mark_near_duplicates(scan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {record.cluster for record in marked} == {"0"}
    return peak


def test_many_pictures_that_all_look_alike_take_no_more_than_others() -> None:
    assert peak_of_the_search(1000) < 3 * peak_of_the_search(500)


def test_the_authors_leaks_are_warned_about_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        f"{part}/{name}/{index}.png": encode(picture(300 * number + 30 * label + index))
        for number, part in enumerate(("train", "val", "test"))
        for label, name in enumerate(("cat", "dog"))
        for index in range(8)
    }
    files["test/cat/leak.png"] = files["train/cat/5.png"]
    reader = {"_target_": "readers_for_tests.read_parts"}
    official = {
        "_target_": "viewfinder.data.splits.assign.official_split",
        "_partial_": True,
    }
    monkeypatch.chdir(make_project(tmp_path, files, official, **reader))
    assert main(["split", "pets"]) == 0
    said = capsys.readouterr().err
    assert (
        "the authors' split divides a group of images: exact duplicate in "
        "train 'train/cat/5.png' and test 'test/cat/leak.png'"
    ) in said
    (leak,) = report(tmp_path)["duplicates"]["on_two_sides"]
    assert leak == {
        "kind": "exact duplicate",
        "official": True,
        "ids": {"train": ["train/cat/5.png"], "test": ["test/cat/leak.png"]},
    }


def damaged() -> dict[str, bytes]:
    files = pets()
    whole = encode(picture(99, 256), "JPEG", quality=95)
    files["cat/cut.jpg"] = whole[: len(whole) // 2]
    files["cat/text.jpg"] = b"This is no picture.\n" * 20
    files["dog/empty.png"] = b""
    return files


def test_bad_images_stop_the_stage_and_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, monkeypatch, damaged()) == 1
    error = capsys.readouterr().err
    assert "3 of 43 samples can't be used" in error
    for name in ("cat/cut.jpg", "cat/text.jpg", "dog/empty.png"):
        assert repr(name) in error
    assert "on_error: skip" in error
    assert not (tmp_path / "data" / "splits").exists()


def test_bad_images_are_left_out_and_listed_with_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, monkeypatch, damaged(), on_error="skip") == 0
    assert sorted(name for ids in members(tmp_path).values() for name in ids) == sorted(pets())
    reasons = {item["id"]: item["reason"] for item in report(tmp_path)["left_out"]}
    assert set(reasons) == {"cat/cut.jpg", "cat/text.jpg", "dog/empty.png"}
    assert "truncated" in reasons["cat/cut.jpg"]
    assert "(0 bytes)" in reasons["dog/empty.png"]
    assert "samples that can't be used were left out: 3" in capsys.readouterr().err


def test_nothing_but_bad_images_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {f"{name}/{number}.png": b"text" for name in ("cat", "dog") for number in range(4)}
    assert split(tmp_path, monkeypatch, files, on_error="skip") == 1
    assert "8 of 8 samples can't be used" in capsys.readouterr().err


def test_an_image_of_another_size_than_its_annotations_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = {"_target_": "readers_for_tests.read_sizes", "odd": "cat/3.png"}
    monkeypatch.chdir(make_project(tmp_path, pets(), STRATIFIED | {"on_error": "skip"}, **reader))
    assert main(["split", "pets"]) == 0
    (item,) = report(tmp_path)["left_out"]
    assert item["id"] == "cat/3.png"
    assert "48 x 48 pixels, but its annotations are for 640 x 480" in item["reason"]


def test_annotations_of_a_photo_before_it_is_turned_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sideways = Image.Exif()
    sideways[0x0112] = 6
    photo = np.zeros((480, 640, 3), np.uint8)
    files = {**pets(), "cat/phone.jpg": encode(photo, "JPEG", exif=sideways)}
    reader = {"_target_": "readers_for_tests.read_sizes", "odd": "cat/phone.jpg"}
    monkeypatch.chdir(make_project(tmp_path, files, STRATIFIED | {"on_error": "skip"}, **reader))
    assert main(["split", "pets"]) == 0
    (item,) = report(tmp_path)["left_out"]
    assert "480 x 640 pixels as its EXIF orientation turns it" in item["reason"]


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_deep_grey_images_are_told_apart(mode: str) -> None:
    values = np.random.default_rng(0).integers(300, 4000, (2, 32, 32))
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}
    looks = []
    for part in values:
        raw = part.astype(kinds[mode]).tobytes()
        buffer = io.BytesIO()
        Image.frombytes(mode, (32, 32), raw).save(buffer, "TIFF")
        looks.append(look_at(buffer.getvalue()))
    assert looks[0].digest != looks[1].digest
    np.testing.assert_allclose(looks[0].mean, values[0].mean() / 65535, rtol=1e-6)
    assert looks[0].digest == look_at(encode(values[0].astype(np.uint16))).digest


@pytest.mark.parametrize("value", [-1.0, 0.5, 70000.0])
def test_pixels_that_no_format_of_16_bits_holds_are_refused(value: float) -> None:
    kind = np.float32 if value == 0.5 else np.int32
    pixels = np.full((32, 32), value, kind)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF")
    with pytest.raises(UnreadableImageError, match="expected whole numbers from 0 to 65535"):
        look_at(buffer.getvalue())


def test_images_of_all_suffixes_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pets(10)
    kinds = {"jfif": "JPEG", "gif": "GIF", "ppm": "PPM", "avif": "AVIF"}
    for seed, (suffix, kind) in enumerate(kinds.items()):
        files[f"cat/more.{suffix}"] = encode(picture(500 + seed), kind)
    assert split(tmp_path, monkeypatch, files) == 0
    assert {name for ids in members(tmp_path).values() for name in ids} == files.keys()


def with_four_alike(count: int) -> dict[str, bytes]:
    near = {f"cat/near{k}.jpg": encode(picture(k), "JPEG", quality=80) for k in range(4)}
    return pets(count) | near


def test_many_images_that_look_alike_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(tmp_path, monkeypatch, with_four_alike(10)) == 0
    assert "8 images look so alike" in capsys.readouterr().err


def test_alike_images_in_no_split_are_few_of_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = {"method": "slices", "train": "[10:20]", "val": "[20:30]", "test": "[30:40]"}
    monkeypatch.chdir(make_project(tmp_path, with_four_alike(50), slices))
    assert main(["split", "pets"]) == 0
    error = capsys.readouterr().err
    assert "groups of near duplicates: 4" in error
    assert "look so alike" not in error


def test_every_kind_of_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pets()
    colour = Image.fromarray(picture(77))
    sideways = Image.Exif()
    sideways[0x0112] = 6
    deep = picture(78)[..., 0].astype(np.uint16) * 257
    extra = {
        "cat/grey.png": encode(np.asarray(colour.convert("L"))),
        "cat/alpha.png": encode(np.dstack([picture(79), picture(79)[..., 0]])),
        "cat/palette.png": encode(np.asarray(picture(80))),
        "cat/deep.png": encode(deep),
    }
    for name, image, options in (
        ("cat/palette.png", Image.fromarray(picture(80)).quantize(16), {"format": "PNG"}),
        ("cat/cmyk.jpg", Image.fromarray(picture(81)).convert("CMYK"), {"format": "JPEG"}),
        ("cat/wide.jpg", colour.resize((60, 30)), {"format": "JPEG", "exif": sideways}),
    ):
        path = tmp_path / "image"
        image.save(path, **options)
        extra[name] = path.read_bytes()
    assert split(tmp_path, monkeypatch, files | extra) == 0
    document = report(tmp_path)
    assert document["left_out"] == []
    sizes = {
        (s["width"], s["height"]): s["images"] for s in document["image_sizes"]["most_frequent"]
    }
    assert sizes == {(48, 48): 45, (30, 60): 1}
