"""What the user gave to ``viewfinder add``, and messages in words that fit it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from viewfinder.data.archive import CHECKSUMS, how_to_fetch
from viewfinder.errors import ViewfinderError

_MEND = "Replace it by a whole one and add it again."


@dataclass(frozen=True)
class GivenSource:
    """A source that is looked at before it is a data set.

    Attributes:
        name: What the user wrote.
        folder: Where its files are while they are looked at.
    """

    name: str
    folder: Path

    def named(self, message: str) -> str:
        """Return a message that names the source and a mend for it, where it named the folder's."""
        message = message.replace(how_to_fetch(self.folder), _MEND)
        message = message.replace("`url` in the data set's source", "address or path")
        files = [path for path in self.folder.iterdir() if path.name != CHECKSUMS]
        for path in sorted(files, key=lambda path: len(path.name), reverse=True):
            name = self.name if len(files) == 1 else f"{path.name} of {self.name}"
            message = message.replace(str(path), name)
        return message.replace(str(self.folder), self.name)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Raise the errors of the block with messages that name the source.

        Raises:
            ViewfinderError: If the block does.
        """
        try:
            yield
        except ViewfinderError as error:
            raise ViewfinderError(self.named(str(error))) from error
