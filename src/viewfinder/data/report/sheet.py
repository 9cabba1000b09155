"""Which images the page shows, and what stands under them."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from viewfinder.data.report.split_rows import SplitRows
from viewfinder.data.report.thumbnails import thumbnail
from viewfinder.data.schema import SPLITS

_SHEET, _SHEET_SIDE = 48, 200
_GROUPS, _MEMBERS, _COPY_SIDE = 12, 4, 112
_SEED = 0
_NAMED_CLASSES = 4


@dataclass(frozen=True)
class Shown:
    """A picture and what stands under it.

    Attributes:
        uri: The picture as a data URI; None for an image that is in no split.
        id: The image's id.
        split: The split it is in.
        text: Its classes.
    """

    uri: str | None
    id: str
    split: str | None
    text: str


@dataclass(frozen=True)
class Group:
    """Pictures that belong together.

    Attributes:
        shown: The first of them.
        more: How many others there are.
    """

    shown: list[Shown]
    more: int


def contact_sheet(rows: SplitRows, classes: Sequence[str]) -> list[Shown]:
    """Show images of every class in turn, drawn at random but the same each time."""
    generator = random.Random(_SEED)
    piles: dict[tuple[int, ...], list[str]] = {}
    for split in SPLITS:
        for name, labels in rows.classes(split):
            piles.setdefault(labels[:1], []).append(name)
    for pile in piles.values():
        generator.shuffle(pile)
    order = [piles[key] for key in sorted(piles)]
    names = list(_in_turn(order))[:_SHEET]
    return [_show(rows, name, classes, _SHEET_SIDE) for name in names]


def show_groups(
    groups: Sequence[Sequence[str]], rows: SplitRows, classes: Sequence[str]
) -> list[Group]:
    """Show the first images of the first groups."""
    return [
        Group(
            [_show(rows, name, classes, _COPY_SIDE) for name in group[:_MEMBERS]],
            max(len(group) - _MEMBERS, 0),
        )
        for group in groups[:_GROUPS]
    ]


def class_text(row: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Name the classes of an image and of its objects, the first ones."""
    labels = list(row.get("labels") or ())
    if row.get("label") is not None:
        labels.append(row["label"])
    named = [classes[label] for label in labels]
    objects = [item["category"] for item in row.get("objects") or ()]
    for label in sorted(set(objects)):
        count = objects.count(label)
        named.append(f"{count} x {classes[label]}" if count > 1 else classes[label])
    more = len(named) - _NAMED_CLASSES
    return ", ".join(named[:_NAMED_CLASSES]) + (f" and {more} more" if more > 0 else "")


def _in_turn(piles: Sequence[Sequence[str]]) -> Iterator[str]:
    for number in range(max(map(len, piles), default=0)):
        if number >= _SHEET:
            return
        yield from (pile[number] for pile in piles if number < len(pile))


def _show(rows: SplitRows, name: str, classes: Sequence[str], side: int) -> Shown:
    split = rows.split_of(name)
    if split is None:
        return Shown(None, name, None, "")
    row = rows.row(name)
    return Shown(thumbnail(row, side), name, split, class_text(row, classes))
