"""What readers refuse, in the same words everywhere."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from viewfinder.data.archive import Archive
from viewfinder.data.readers.record import LeftOut, Reading, Record
from viewfinder.data.schema import SPLITS
from viewfinder.errors import ViewfinderError


class Refused:
    """The samples that a reader can't use, each with the reason.

    A reader notes them and goes on, so that all of them are named at once; whether they stop the
    split stage or are left out is for ``on_error`` to say.

    Args:
        archive: The data set's archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Note a sample; the first reason counts."""
        own = reason.removeprefix(f"{self._archive.path}: ").removesuffix(".")
        self._reasons.setdefault(name, own)

    def without_label(self, images: Iterable[str], where: str, mend: str) -> None:
        """Note images that nothing was said about."""
        for image in images:
            self.add(image, f"it is without a label; expected each image {where}. {mend}")

    def of_unread_kind(self, images: Iterable[str]) -> None:
        """Note images in formats that can't be decoded."""
        for image in images:
            self.add(image, "its format is not read; expected one such as JPEG or PNG. Convert it.")

    def without_image(self, labels: Iterable[str], where: str) -> None:
        """Note annotations whose image the archive does not hold."""
        for label in labels:
            self.add(
                label,
                f"{where} speaks of it, but its image is not there. Add the image or remove the "
                "annotation.",
            )

    @contextmanager
    def catch(self, name: str) -> Iterator[None]:
        """Note a sample if the block finds that it can't be used."""
        try:
            yield
        except ViewfinderError as error:
            self.add(name, str(error))

    def reading(
        self, classes: Sequence[str], annotations: list[str], records: Iterable[Record]
    ) -> Reading:
        """Return what was found, without the records that were noted."""
        kept = [record for record in records if record.id not in self._reasons]
        left_out = [LeftOut(name, reason) for name, reason in self._reasons.items()]
        return Reading(list(classes), annotations, kept, left_out)


def some(items: Collection[object], limit: int = 3) -> str:
    """Write the first few of many things."""
    shown = ", ".join(repr(item) for item in list(items)[:limit])
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def check_splits(splits: Collection[str], option: str) -> None:
    """Refuse an option whose keys are not splits.

    Raises:
        ViewfinderError: Naming the keys there can be.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise ViewfinderError(
            f"The reader's option `{option}` has the keys {list(splits)}; "
            f"expected some of {', '.join(SPLITS)}."
        )


def check_class_names(archive: Archive, names: Sequence[str]) -> None:
    """Refuse class names of which one stands twice.

    Raises:
        ViewfinderError: Naming them.
    """
    if len(set(names)) != len(names):
        raise ViewfinderError(
            f"{archive.path}: the class names {list(names)} are not unique. Rename one of them."
        )


def class_number(name: str, numbers: Mapping[str, int], where: str) -> int:
    """Return the number of a class.

    Args:
        name: The class.
        numbers: The number of each known class.
        where: What names the class, for the message.

    Raises:
        ViewfinderError: If it is none of the known ones.
    """
    if name not in numbers:
        raise ViewfinderError(
            f"{where} has the class {name!r}; expected one of {', '.join(numbers)}. "
            "Correct the annotation or the reader's `classes`."
        )
    return numbers[name]


def refuse_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an option's value that is none of its choices.

    Raises:
        ViewfinderError: Naming the choices.
    """
    if value not in choices:
        raise ViewfinderError(
            f"The reader's option `{option}` is {value!r}; expected {' or '.join(choices)}."
        )
