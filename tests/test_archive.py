"""Archives of every format as one namespace, and what is refused in them."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from viewfinder.data.archive import Archive, container, read_checksums, write_checksums
from viewfinder.data.sources.pack import pack_folder
from viewfinder.errors import ViewfinderError

FILES = {
    "train/cat/a.jpg": np.random.default_rng(1).bytes(5000),
    "train/dog/собака 🐕.jpg": b"dog",
    "empty.txt": b"",
}
LONG = "/".join(["folder" * 10] * 5) + "/é.png"


def packed(path: Path, members: Mapping[str, bytes], mode: str = "w") -> None:
    """Write a tar archive with an entry for a folder before the files."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("./train")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def zipped(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("train")
        for name, content in members.items():
            archive.writestr(name, content)


def opened(folder: Path) -> Archive:
    write_checksums(folder)
    return Archive(folder)


def contents(folder: Path) -> dict[str, bytes]:
    with opened(folder) as archive:
        return {name: archive.read(name) for name in archive.names()}


def refused(folder: Path) -> str:
    with pytest.raises(ViewfinderError) as caught:
        opened(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("data.tar", "w"),
        ("data.tar.gz", "w:gz"),
        ("data.TGZ", "w:gz"),
        ("data.tar.bz2", "w:bz2"),
        ("data.tar.xz", "w:xz"),
        ("compressed.tar", "w:gz"),
        ("uncompressed.tar.gz", "w"),
        ("27101512", "w:gz"),
        ("27101513", "w"),
    ],
)
def test_a_tar_archive_is_read_whatever_its_compression(
    tmp_path: Path, name: str, mode: str
) -> None:
    members = {**FILES, LONG: b"deep"}
    packed(tmp_path / name, {f"./{key}": value for key, value in members.items()}, mode)
    assert contents(tmp_path) == members


@pytest.mark.parametrize("name", ["data.zip", "data.ZIP", "27101512"])
def test_a_zip_archive_is_read(tmp_path: Path, name: str) -> None:
    zipped(tmp_path / name, {**FILES, LONG: b"deep"})
    assert contents(tmp_path) == {**FILES, LONG: b"deep"}


def test_single_files_are_members_of_their_own_name(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"idx"))
    (tmp_path / "labels.csv.bz2").write_bytes(bz2.compress(b"a,b"))
    (tmp_path / "boxes.json.xz").write_bytes(lzma.compress(b"{}"))
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    (tmp_path / "my list.csv").write_bytes(b"id\n")
    zipped(tmp_path / "arrays.npz", {"x.npy": b""})
    found = contents(tmp_path)
    assert found.pop("arrays.npz") == (tmp_path / "arrays.npz").read_bytes()
    assert found == {
        "train-images-idx3-ubyte": b"idx",
        "labels.csv": b"a,b",
        "boxes.json": b"{}",
        "train.parquet": b"PAR1",
        "my list.csv": b"id\n",
    }


def test_several_archives_are_one_namespace(tmp_path: Path) -> None:
    zipped(tmp_path / "b.zip", {"images/1.jpg": b"1"})
    packed(tmp_path / "a.tar.gz", {"labels/1.txt": b"0 .5 .5 1 1"}, "w:gz")
    with opened(tmp_path) as archive:
        assert archive.path == tmp_path
        assert archive.names() == ["labels/1.txt", "images/1.jpg"]
        assert archive.read("images/1.jpg") == b"1"
        with pytest.raises(ViewfinderError, match=r"there is no file 'images/2\.jpg'"):
            archive.read("images/2.jpg")
    packed(tmp_path / "c.tar", {"images/1.jpg": b"another"})
    assert "'images/1.jpg' is in another file" in refused(tmp_path)


def test_one_archive_is_named_by_its_file(tmp_path: Path) -> None:
    zipped(tmp_path / "über uns.zip", FILES)
    with opened(tmp_path) as archive:
        assert archive.path == tmp_path / "über uns.zip"
    assert list(read_checksums(tmp_path)) == ["über uns.zip"]


def test_members_of_a_compressed_tar_are_read_in_any_order_and_leave_no_file(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "raw" / "many"
    folder.mkdir(parents=True)
    members = {f"{i:04}.png": np.random.default_rng(i).bytes(i) for i in range(2000)}
    packed(folder / "many.tar.xz", members, "w:xz")
    with opened(folder) as archive:
        assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
            "SHA256SUMS",
            "many.tar.xz",
        ]
        for i in np.random.default_rng(0).permutation(2000):
            assert archive.read(f"{i:04}.png") == members[f"{i:04}.png"]


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/passwd", "C:evil.jpg"])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_member_that_climbs_out_is_refused_by_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"data.{kind}"
    if kind == "zip":
        zipped(path, {"a.jpg": b"", name: b"x"})
    else:
        packed(path, {"a.jpg": b"", name: b"x"}, "w:gz" if kind == "tar.gz" else "w")
    message = refused(tmp_path)
    assert str(path) in message
    assert repr(name) in message
    assert "leads out" in message


def test_a_climb_in_the_way_of_windows_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "data.zip", {"a\\..\\..\\evil.jpg": b"x"})
    assert "leads out" in refused(tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused_by_name(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        info = tarfile.TarInfo("photo.jpg")
        info.type = kind
        info.linkname = "/etc/passwd"
        tar.addfile(info)
    assert "'photo.jpg' is a link" in refused(tmp_path)


def test_links_and_encrypted_members_of_a_zip_are_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        info = zipfile.ZipInfo("photo.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "'photo.jpg' is a link" in refused(tmp_path)
    zipped(tmp_path / "data.zip", {"photo.jpg": b"x"})
    content = bytearray((tmp_path / "data.zip").read_bytes())
    content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"photo.jpg")) + 8] |= 1
    (tmp_path / "data.zip").write_bytes(content)
    assert "'photo.jpg' is encrypted" in refused(tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_decompression_bomb_is_refused_by_its_member(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "FREE_EXPANSION", 2**20)
    members = {"a.jpg": b"x", "bomb.bin": bytes(30 * 2**20), "z.jpg": b"x"}
    path = tmp_path / f"data.{kind}"
    if kind == "zip":
        zipped(path, members)
    else:
        packed(path, members, f"w:{kind[4:]}")
    message = refused(tmp_path)
    assert "'bomb.bin'" in message
    assert "MAX_EXPANSION" in message
    monkeypatch.setattr(container, "MAX_EXPANSION", 10_000)
    with opened(tmp_path) as archive:
        assert len(archive.read("bomb.bin")) == 30 * 2**20


def test_a_compressed_file_that_is_a_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "FREE_EXPANSION", 2**20)
    (tmp_path / "zeros.bin.gz").write_bytes(gzip.compress(bytes(20 * 2**20)))
    with opened(tmp_path) as archive, pytest.raises(ViewfinderError, match=r"'zeros\.bin'"):
        archive.read("zeros.bin")


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a.jpg", "./a.jpg"), ("b//a", "b/a")])
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(
    tmp_path: Path, kind: str, names: tuple[str, str]
) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
    else:
        with tarfile.open(tmp_path / "data.tar", "w") as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert "more than once" in refused(tmp_path)


def test_the_litter_of_macos_is_ignored(tmp_path: Path) -> None:
    litter = {"__MACOSX/._a.jpg": b"", "images/._a.jpg": b"", "images/.DS_Store": b""}
    zipped(tmp_path / "a.zip", {"images/a.jpg": b"a", **litter})
    packed(tmp_path / "b.tar", {"images/b.jpg": b"b", **litter})
    assert contents(tmp_path) == {"images/a.jpg": b"a", "images/b.jpg": b"b"}


def test_names_that_were_not_marked_as_unicode_are_read(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"photo-??.jpg": b"utf-8", "b\\c.jpg": b"windows"})
    content = (tmp_path / "a.zip").read_bytes().replace(b"photo-??.jpg", b"photo-\xc3\xa9.jpg")
    (tmp_path / "a.zip").write_bytes(content)
    with tarfile.open(tmp_path / "b.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as t:
        t.addfile(tarfile.TarInfo("caf\xe9.jpg"), io.BytesIO())
    with opened(tmp_path) as archive:
        assert archive.names() == ["photo-é.jpg", "b/c.jpg", "café.jpg"]
        assert archive.read("photo-é.jpg") == b"utf-8"


@pytest.mark.parametrize("mode", ["", ":gz", ":bz2", ":xz"])
def test_a_tar_that_is_cut_short_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"data.tar{mode.replace(':', '.')}"
    packed(path, {f"{i}.jpg": np.random.default_rng(i).bytes(3000) for i in range(9)}, f"w{mode}")
    content = path.read_bytes()
    for length in (len(content) // 2, 100):
        path.write_bytes(content[:length])
        message = refused(tmp_path)
        assert str(path) in message
        assert f"dvc repro --force download@{tmp_path.name}" in message
        assert mode or length == 100 or "it ends within '5.jpg'" in message


def test_a_tar_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "data.tar", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    content = bytearray((tmp_path / "data.tar").read_bytes())
    content[content.index(b"b.jpg")] ^= 1
    (tmp_path / "data.tar").write_bytes(content)
    assert "not a whole tar archive" in refused(tmp_path)


def test_a_zip_member_that_is_damaged_is_named(tmp_path: Path) -> None:
    zipped(tmp_path / "data.zip", FILES)
    content = bytearray((tmp_path / "data.zip").read_bytes())
    content[content.index(b"train/cat/a.jpg") + 100] ^= 255
    (tmp_path / "data.zip").write_bytes(content)
    with opened(tmp_path) as archive, pytest.raises(ViewfinderError, match=r"a\.jpg' is damaged"):
        archive.read("train/cat/a.jpg")


@pytest.mark.parametrize("name", ["data.rar", "data.7z", "data.tar.zst"])
def test_a_format_that_cannot_be_read_names_those_that_can(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"Rar!")
    message = refused(tmp_path)
    assert name in message
    assert "tar.xz" in message


def test_nothing_downloaded_is_said(tmp_path: Path) -> None:
    write_checksums(tmp_path)
    with pytest.raises(ViewfinderError, match="holds no files"):
        Archive(tmp_path)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_closing_lets_go_of_all_files(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"a": b""})
    packed(tmp_path / "b.tar", {"b": b""})
    packed(tmp_path / "c.tar.gz", {"c": b""}, "w:gz")
    before = open_files()
    with opened(tmp_path):
        assert open_files() == before + 3
    assert open_files() == before
    packed(tmp_path / "d.tar", {"../d": b""})
    refused(tmp_path)
    assert open_files() == before


def test_names_are_composed_however_they_were_written(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        folder = tmp_path / form
        folder.mkdir()
        zipped(folder / "data.zip", {unicodedata.normalize(form, "Bäume/1.jpg"): b"tree"})
        assert contents(folder) == {unicodedata.normalize("NFC", "Bäume/1.jpg"): b"tree"}


def test_a_folder_with_names_that_are_not_utf_8_is_packed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with open(os.fsencode(tmp_path / "own") + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123
        file.write(b"coffee")
    (tmp_path / "raw").mkdir()
    pack_folder(tmp_path / "own", tmp_path / "raw" / "own.zip")
    assert contents(tmp_path / "raw") == {"café.jpg": b"coffee"}


@pytest.mark.parametrize("name", ["v1.0", "data", " leading.zip"])
def test_an_archive_is_known_by_its_content_too(tmp_path: Path, name: str) -> None:
    zipped(tmp_path / name, {"a/1.jpg": b"x"})
    assert contents(tmp_path) == {"a/1.jpg": b"x"}
