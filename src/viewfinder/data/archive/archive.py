"""The files of a data set, by name, whatever they are packed in."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from viewfinder.data.archive.checksums import verify
from viewfinder.data.archive.container import Container
from viewfinder.data.archive.opening import open_container
from viewfinder.errors import ViewfinderError


class Archive:
    """The members of everything that ``download`` wrote for a data set, as one namespace.

    Zip and tar archives (also gzip, bzip2 and xz ones) give their members, a single compressed
    file gives its content under its name without the suffix, and any other file gives itself.

    Args:
        folder: The folder that ``download`` wrote: archives or plain files, and their checksums.

    Attributes:
        path: The one file, or the folder if there are several; for messages.

    Raises:
        ViewfinderError: If a file is missing, damaged, or not the one that was downloaded; if a
            member leads out of its archive, is a link or a device, or unpacks to more than any
            real one; or if two members have the same name.
    """

    def __init__(self, folder: Path) -> None:
        files = verify(folder)
        self.path = files[0] if len(files) == 1 else folder
        self._members: dict[str, Container] = {}
        with ExitStack() as opened:
            for path in files:
                container = open_container(path)
                opened.callback(container.close)
                self._add(path, container)
            self._opened = opened.pop_all()

    def _add(self, path: Path, container: Container) -> None:
        for name in container:
            if name in self._members:
                raise ViewfinderError(
                    f"{path}: the member {name!r} is in another file of {path.parent} too; "
                    "expected each name once. Repack one of the two without it."
                )
            self._members[name] = container

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def names(self) -> list[str]:
        """Return the names of all members: file by file by name, within each in its order."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Return the content of one member.

        Raises:
            ViewfinderError: If there is no such member, or it is damaged.
        """
        container = self._members.get(name)
        if container is None:
            raise ViewfinderError(
                f"{self.path}: there is no file {name!r} in it. Add the file, or take out what "
                "names it."
            )
        return container.read(name)
