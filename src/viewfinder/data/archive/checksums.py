"""The checksums that ``download`` records beside the files it wrote."""

import hashlib
from pathlib import Path

from viewfinder.errors import ViewfinderError

CHECKSUMS = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the checksum of every file in ``folder`` in the format of ``sha256sum``."""
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS)
    lines = [f"{sha256(path)}  {path.name}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the recorded SHA-256 of each file in ``folder``, by file name.

    Raises:
        ViewfinderError: If nothing was downloaded into ``folder``.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise ViewfinderError(
            f"{path} is missing: the data set was not downloaded. {how_to_fetch(folder)}"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except ValueError:
        raise ViewfinderError(
            f"{path} is damaged: expected a checksum and a file name on each line. "
            f"{how_to_fetch(folder)}"
        ) from None


def verify(folder: Path) -> list[Path]:
    """Compare the files in ``folder`` with their recorded checksums.

    Returns:
        The files, by name.

    Raises:
        ViewfinderError: If a file is missing or changed after its download.
    """
    again = how_to_fetch(folder)
    checksums = read_checksums(folder)
    if not checksums:
        raise ViewfinderError(f"{folder} holds no files. {again}")
    for name, expected in checksums.items():
        path = folder / name
        if not path.is_file():
            raise ViewfinderError(f"{path} is missing. {again}")
        found = sha256(path)
        if found != expected:
            raise ViewfinderError(
                f"{path} changed after its download: its SHA-256 is {found}, "
                f"{CHECKSUMS} says {expected}. {again}"
            )
    return [folder / name for name in sorted(checksums)]


def how_to_fetch(folder: Path) -> str:
    """Return what a user does to fetch the files of a data set's folder, or to fetch them anew."""
    return (
        f"Run `dvc repro --force download@{folder.name}`; or, if params.yaml does not list the "
        f"data set, `viewfinder download {folder.name}`."
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
