"""The gate behind every split method: nothing may stand on two sides."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.splits.assign import Assignment
from viewfinder.data.splits.options import LeakReaction
from viewfinder.errors import ViewfinderError

_NAMED = 5
Kind = Literal["group", "exact duplicate", "near duplicate"]
_KINDS: dict[Kind, str] = {
    "group": "group",
    "exact duplicate": "fingerprint",
    "near duplicate": "cluster",
}


@dataclass(frozen=True)
class Leak:
    """What stands on two sides or more.

    Attributes:
        kind: What the images have in common.
        ids: The images of each side.
        official: Whether the authors' own split put them there.
    """

    kind: Kind
    ids: dict[Split, list[str]]
    official: bool

    def __str__(self) -> str:
        """Name one image of each side."""
        sides = " and ".join(f"{split} {names[0]!r}" for split, names in self.ids.items())
        return f"{self.kind} in {sides}"


def find_leaks(assignment: Assignment) -> list[Leak]:
    """Return what stands on two sides: groups, exact duplicates, then near duplicates."""
    leaks = []
    for kind, attribute in _KINDS.items():
        sides: defaultdict[str, dict[Split, list[Record]]] = defaultdict(dict)
        for split in SPLITS:
            for record in assignment[split]:
                value = getattr(record, attribute)
                if value is not None:
                    sides[value].setdefault(split, []).append(record)
        leaks += [_leak(kind, found) for found in sides.values() if len(found) > 1]
    return leaks


def _leak(kind: Kind, sides: dict[Split, list[Record]]) -> Leak:
    authors = [{record.split for record in side} for side in sides.values()]
    official = not any(None in side for side in authors) and not any(
        one & other for one, other in combinations(authors, 2)
    )
    ids = {split: [record.id for record in side] for split, side in sides.items()}
    return Leak(kind, ids, official)


def check_assignment(assignment: Assignment) -> None:
    """Refuse what is no division into all splits, an empty split, and an image in two splits.

    Raises:
        ViewfinderError: Naming the split or the image.
    """
    if not (isinstance(assignment, dict) and set(assignment) == set(SPLITS)):
        found = list(assignment) if isinstance(assignment, dict) else type(assignment).__name__
        raise ViewfinderError(
            f"The split function returned {found}; expected a dictionary with the records of "
            f"{', '.join(SPLITS)}. Correct the function that `split:` names in the data set's "
            "config."
        )
    for split in SPLITS:
        if not isinstance(assignment[split], list):
            raise ViewfinderError(
                f"The split function returned a {type(assignment[split]).__name__} for {split}; "
                "expected a list of records. Correct the function that `split:` names in the data "
                "set's config."
            )
    owner: dict[str, Split] = {}
    for split in SPLITS:
        if not assignment[split]:
            counts = ", ".join(f"{name} {len(assignment[name])}" for name in SPLITS)
            raise ViewfinderError(
                f"The split {split} has no images ({counts}). Choose other shares or another "
                "method under `split:` in the data set's config."
            )
        for record in assignment[split]:
            other = owner.setdefault(record.id, split)
            if other != split:
                raise ViewfinderError(f"The image {record.id!r} is in {other} and in {split}.")


def check_leaks(leaks: Sequence[Leak], *, reaction: LeakReaction) -> list[str]:
    """Refuse groups and exact duplicates on two sides, except where the authors put them there.

    Args:
        leaks: What :func:`find_leaks` found.
        reaction: ``warn`` to let all of them pass.

    Returns:
        Warnings about those that pass, each naming some of them.

    Raises:
        ViewfinderError: Naming some of those that do not pass.
    """
    ours = [leak for leak in leaks if leak.kind != "near duplicate" and not leak.official]
    if ours and reaction == "fail":
        raise ViewfinderError(
            f"The split leaks: {_name(ours)}. Give them one group or remove the copies; or choose "
            "`method: stratified` under `split:`, which keeps them together but moves images that "
            "were divided before; or accept it with `leaks: warn`."
        )
    warnings = []
    for kind in _KINDS:
        found = [leak for leak in leaks if leak.kind == kind]
        if found:
            whose = "the authors' split" if all(leak.official for leak in found) else "the split"
            warnings.append(f"{whose} divides {_name(found)}")
    return warnings


def _name(leaks: Sequence[Leak]) -> str:
    more = len(leaks) - _NAMED
    named = "; ".join(str(leak) for leak in leaks[:_NAMED])
    groups = "a group" if len(leaks) == 1 else f"{len(leaks)} groups"
    return f"{groups} of images: {named}{f'; and {more} more' if more > 0 else ''}"
