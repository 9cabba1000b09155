"""Archives of a data set, read in place after their checksums were compared."""

import hashlib
import zipfile
from pathlib import Path
from types import TracebackType

from viewfinder.errors import ViewfinderError

CHECKSUMS = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write the checksum of every file in ``folder`` in the format of ``sha256sum``."""
    lines = [f"{_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines))


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the recorded SHA-256 of each archive in ``folder``, by file name.

    Raises:
        ViewfinderError: If nothing was downloaded into ``folder``.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        raise ViewfinderError(
            f"{path} is missing: the data set was not downloaded. "
            f"Run `dvc repro download@{folder.name}`."
        )
    lines = path.read_text().splitlines()
    try:
        return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
    except ValueError:
        raise ViewfinderError(
            f"{path} is damaged: expected a checksum and a file name on each line. "
            f"Run `dvc repro --force download@{folder.name}`."
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Archive:
    """The files of a data set's zip archive, by name.

    Args:
        folder: The folder that ``download`` wrote: one zip archive and its checksum.

    Raises:
        ViewfinderError: If the archive is missing, damaged, or not the one that was downloaded.
    """

    def __init__(self, folder: Path) -> None:
        checksums = read_checksums(folder)
        if len(checksums) != 1:
            raise ViewfinderError(f"{folder} holds {len(checksums)} archives; expected one.")
        ((name, expected),) = checksums.items()
        self.path = folder / name
        again = f"Run `dvc repro --force download@{folder.name}` to fetch it again."
        if not self.path.is_file():
            raise ViewfinderError(f"{self.path} is missing. {again}")
        found = _sha256(self.path)
        if found != expected:
            raise ViewfinderError(
                f"{self.path} changed after its download: its SHA-256 is {found}, "
                f"{CHECKSUMS} says {expected}. {again}"
            )
        try:
            self._zip = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise ViewfinderError(f"{self.path} is not a zip archive: {error}. {again}") from error

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """Return the names of all files in the archive, in the archive's order."""
        return [info.filename for info in self._zip.infolist() if not info.is_dir()]

    def read(self, name: str) -> bytes:
        """Return the content of one file.

        Raises:
            ViewfinderError: If the archive has no such file, or it is damaged.
        """
        try:
            return self._zip.read(name)
        except KeyError:
            raise ViewfinderError(f"{self.path} has no file {name!r}.") from None
        except zipfile.BadZipFile as error:
            raise ViewfinderError(f"{self.path}: {name!r} is damaged: {error}.") from error
