"""Parts of a data set that hold the classes in given shares."""

import random
from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from viewfinder.data.readers.record import Record

Bundle = Sequence[Record]

# How far a part may be from its share, for the sake of the classes' shares.
_SLACK, _SLACK_IMAGES = 0.05, 2


def stratify(bundles: Sequence[Bundle], shares: Sequence[float], seed: int) -> list[list[Record]]:
    """Divide bundles so that every part holds its share of the images of each class.

    This is iterative stratification: the rarest class is dealt out first, each bundle to the part
    that lacks most images of the class. Large bundles go before small ones, which then even out
    what the large ones left. What many small classes were each rounded by can add up; where a part
    is off by more than two images and a twentieth of its share, the parts that are short then get
    the bundles that their classes miss least.

    Source: K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label Data",
    ECML PKDD 2011, algorithm 1; here for bundles of images instead of single ones.

    Args:
        bundles: What must not be divided; an image may have one class, several or none.
        shares: Share of each part; they add up to 1.
        seed: Seed of the draw.

    Returns:
        The records of each part, in no particular order.
    """
    draw = _Draw(bundles, shares, seed)
    draw.deal()
    draw.even_out()
    parts: list[list[Record]] = [[] for _ in shares]
    for number, bundle in enumerate(bundles):
        parts[draw.part_of[number]] += bundle
    return parts


class _Draw:
    """Which part each bundle is in, and what the parts lack."""

    def __init__(self, bundles: Sequence[Bundle], shares: Sequence[float], seed: int) -> None:
        self.part_of: dict[int, int] = {}
        self._bundles = bundles
        self._generator = random.Random(seed)
        self._counts = [
            Counter(label for record in bundle for label in record.classes()) for bundle in bundles
        ]
        self._order = list(range(len(bundles)))
        self._generator.shuffle(self._order)
        self._order.sort(key=lambda number: -len(bundles[number]))
        self._left = sum(self._counts, Counter())
        self._lacking = {
            label: [share * total for share in shares] for label, total in self._left.items()
        }
        images = sum(len(bundle) for bundle in bundles)
        self._room = [share * images for share in shares]
        self._slack = [max(_SLACK_IMAGES, _SLACK * room) for room in self._room]

    def deal(self) -> None:
        """Give every bundle to a part."""
        members: dict[int, list[int]] = {}
        for number in self._order:
            for label in self._counts[number]:
                members.setdefault(label, []).append(number)
        left = self._left
        while any(left.values()):
            rarest = min((label for label in left if left[label] > 0), key=lambda k: left[k])
            for number in members[rarest]:
                if number not in self.part_of:
                    self._give(number, self._lacking[rarest])
                    left.subtract(self._counts[number])
        for number in self._order:
            if number not in self.part_of:
                self._give(number, self._room)

    def even_out(self) -> None:
        """Fill the parts that are too small from those that are too large, if one is far off."""
        if any(abs(room) > slack for room, slack in zip(self._room, self._slack, strict=True)):
            for part in range(len(self._room)):
                self._fill(part)

    def _fill(self, poor: int) -> None:
        waiting = [
            (-self._gain(number, poor), place, number)
            for place, number in enumerate(self._order)
            if self._room[self.part_of[number]] < 0
        ]
        heapify(waiting)
        while waiting and self._room[poor] >= 1:
            loss, place, number = waiting[0]
            now = -self._gain(number, poor)
            if now > loss:
                heapreplace(waiting, (now, place, number))
                continue
            heappop(waiting)
            fits = len(self._bundles[number]) < self._room[poor] + 1
            if fits and self._room[self.part_of[number]] < 0:
                self._take(number)
                self._put(number, poor)

    def _gain(self, number: int, poor: int) -> float:
        """Return how much more of a bundle's classes another part lacks than its own does."""
        own = self.part_of[number]
        return sum(
            count * (self._lacking[label][poor] - self._lacking[label][own])
            for label, count in self._counts[number].items()
        )

    def _give(self, number: int, want: Sequence[float]) -> None:
        room, generator = self._room, self._generator
        self._put(
            number, max(range(len(room)), key=lambda i: (want[i], room[i], generator.random()))
        )

    def _put(self, number: int, part: int) -> None:
        self.part_of[number] = part
        self._change(number, part, -1)

    def _take(self, number: int) -> None:
        self._change(number, self.part_of[number], 1)

    def _change(self, number: int, part: int, sign: int) -> None:
        self._room[part] += sign * len(self._bundles[number])
        for label, count in self._counts[number].items():
            self._lacking[label][part] += sign * count
