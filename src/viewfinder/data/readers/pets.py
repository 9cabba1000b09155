"""Oxford-IIIT Pet: breeds, species, boxes around heads, and trimaps."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import read_list
from viewfinder.data.readers.record import MaskFile, Reading, Record
from viewfinder.data.readers.refusals import Refused, check_splits, refuse_choice
from viewfinder.data.readers.voc import Annotated, read_annotated
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

Target = Literal["breeds", "species", "heads", "trimaps"]
_SPECIES = ["cat", "dog"]
_LISTS: dict[Split, str] = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}
# Foreground, background, and the border that the authors call "not classified".
_TRIMAP_CLASSES, _TRIMAP_VALUES = ["background", "pet"], {1: 1, 2: 0, 3: 255}


class _Pet(NamedTuple):
    name: str
    breed: int
    species: int
    split: Split

    @property
    def image(self) -> str:
        return f"images/{self.name}.jpg"


def read_pets(
    archive: Archive, *, target: Target = "breeds", lists: Mapping[Split, str] = _LISTS
) -> Reading:
    """Read one of the annotations of the Oxford-IIIT Pet data set.

    About forty images of the archive stand in no list, and are left out as their authors did.

    Args:
        archive: The data set's two archives.
        target: ``breeds`` (37 classes) or ``species`` give a label; ``heads`` the boxes of those
            images that have one, which are among those to train on; ``trimaps`` masks of pet and
            background, with the border to be ignored.
        lists: The list of each of the authors' splits.

    Raises:
        ViewfinderError: If a list is not valid.
    """
    refuse_choice("target", target, get_args(Target))
    check_splits(lists, "lists")
    present = set(archive.names())
    refused = Refused(archive)
    pets = [pet for split, path in lists.items() for pet in _list(archive, path, split)]
    refused.without_image([pet.image for pet in pets if pet.image not in present], "a list")
    if target == "heads":
        heads = {pet: f"annotations/xmls/{pet.name}.xml" for pet in pets}
        annotated = [
            Annotated(pet.image, path, pet.split) for pet, path in heads.items() if path in present
        ]
        return read_annotated(archive, annotated, _SPECIES, "inclusive", refused)
    if target == "trimaps":
        return _trimaps(pets, present, refused)
    if target == "species":
        records = [Record(pet.image, label=pet.species, split=pet.split) for pet in pets]
        return refused.reading(_SPECIES, ["label"], records)
    records = [Record(pet.image, label=pet.breed, split=pet.split) for pet in pets]
    return refused.reading(_breeds(archive, pets), ["label"], records)


def _trimaps(pets: Sequence[_Pet], present: set[str], refused: Refused) -> Reading:
    masks = {pet: f"annotations/trimaps/{pet.name}.png" for pet in pets}
    missing = [pet.image for pet, path in masks.items() if path not in present]
    refused.without_label(missing, "to have a trimap", "Fetch the annotations again.")
    records = [
        Record(pet.image, mask=MaskFile(path, _TRIMAP_VALUES), split=pet.split)
        for pet, path in masks.items()
    ]
    return refused.reading(_TRIMAP_CLASSES, ["mask"], records)


def _list(archive: Archive, path: str, split: Split) -> list[_Pet]:
    """Read lines of name, breed (from 1), species (1 cat, 2 dog) and breed among its species."""
    pets = []
    for line in read_list(archive, path):
        if line.startswith("#"):
            continue
        name, *numbers = line.split()
        valid = len(numbers) == 3 and all(word.isdecimal() and int(word) > 0 for word in numbers)
        if not valid or int(numbers[1]) > len(_SPECIES):
            raise ViewfinderError(
                f"{archive.path}: {path!r} has the line {line!r}; expected a name and the numbers "
                "of breed, species and breed of that species. Fetch the annotations again."
            )
        pets.append(_Pet(name, int(numbers[0]) - 1, int(numbers[1]) - 1, split))
    return pets


def _breeds(archive: Archive, pets: Sequence[_Pet]) -> list[str]:
    """Return the breeds' names, which stand in the images' names before their number."""
    names: dict[int, str] = {}
    for pet in pets:
        name = pet.name.rpartition("_")[0].replace("_", " ")
        if names.setdefault(pet.breed, name) != name:
            raise ViewfinderError(
                f"{archive.path}: breed {pet.breed + 1} is {names[pet.breed]!r} and {name!r} in "
                "the lists. Fetch the annotations again."
            )
    if sorted(names) != list(range(len(names))):
        raise ViewfinderError(
            f"{archive.path}: the lists hold the breeds {[n + 1 for n in sorted(names)]}; "
            f"expected 1 to {max(names) + 1} without a gap. Fetch the annotations again."
        )
    return [names[number] for number in range(len(names))]
