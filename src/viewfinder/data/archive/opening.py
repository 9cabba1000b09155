"""Which container reads which file."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from viewfinder.data.archive.compression import is_compressed
from viewfinder.data.archive.container import Container
from viewfinder.data.archive.single import CompressedFile, PlainFile
from viewfinder.data.archive.tar_container import TarContainer
from viewfinder.data.archive.zip_container import ZipContainer
from viewfinder.errors import ViewfinderError

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
_UNREADABLE = (".7z", ".rar", ".tar.zst", ".tzst", ".zst", ".tar.lz4", ".lz4", ".z")
_PLAIN = frozenset(
    {".csv", ".json", ".jsonl", ".npy", ".npz", ".parquet", ".pkl", ".tsv", ".txt", ".xml"}
    | {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".yaml", ".yml"}
)
_SUFFIXES: tuple[tuple[tuple[str, ...], Callable[[Path], Container]], ...] = (
    ((".zip",), ZipContainer),
    (_TAR, TarContainer),
    ((".gz", ".bz2", ".xz"), CompressedFile),
)


def is_packed(name: str) -> bool:
    """Tell whether a file's name, in either case, is that of an archive or a compressed file."""
    known = (suffix for suffixes, _ in _SUFFIXES for suffix in suffixes)
    return name.lower().endswith((*known, *_UNREADABLE))


def open_container(path: Path) -> Container:
    """Open a file by its suffix; one whose suffix says nothing by its first bytes.

    Raises:
        ViewfinderError: If the format can't be read, or the content is damaged or refused.
    """
    name = path.name.lower()
    if name.endswith(_UNREADABLE):
        raise ViewfinderError(
            f"{path} has a format that can't be read in place; expected zip, tar, tar.gz, tar.bz2, "
            "tar.xz, or single files. Repack it as one of them and name that as the source."
        )
    for suffixes, kind in _SUFFIXES:
        if name.endswith(suffixes):
            return kind(path)
    if path.suffix.lower() in _PLAIN:
        return PlainFile(path)
    return _sniff(path)(path)


def _sniff(path: Path) -> Callable[[Path], Container]:
    if zipfile.is_zipfile(path):
        return ZipContainer
    with path.open("rb") as file:
        is_tar = file.read(262)[257:] == b"ustar"
    return TarContainer if is_tar or is_compressed(path) else PlainFile
