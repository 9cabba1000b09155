"""Parts of a data set that hold the classes in given shares."""

import random
from collections import Counter
from collections.abc import Sequence

from viewfinder.data.readers.record import Record

Bundle = Sequence[Record]


def stratify(bundles: Sequence[Bundle], shares: Sequence[float], seed: int) -> list[list[Record]]:
    """Divide bundles so that every part holds its share of the images of each class.

    This is iterative stratification: the rarest class is dealt out first, each bundle to the part
    that lacks most images of the class. Large bundles go before small ones, which then even out
    what the large ones left.

    Source: K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label Data",
    ECML PKDD 2011, algorithm 1; here for bundles of images instead of single ones.

    Args:
        bundles: What must not be divided; an image may have one class, several or none.
        shares: Share of each part; they add up to 1.
        seed: Seed of the draw.

    Returns:
        The records of each part, in no particular order.
    """
    generator = random.Random(seed)
    counts = [
        Counter(label for record in bundle for label in record.classes()) for bundle in bundles
    ]
    order = list(range(len(bundles)))
    generator.shuffle(order)
    order.sort(key=lambda number: -len(bundles[number]))
    members: dict[int, list[int]] = {}
    for number in order:
        for label in counts[number]:
            members.setdefault(label, []).append(number)
    left = sum(counts, Counter())
    lacking = {label: [share * total for share in shares] for label, total in left.items()}
    images = sum(len(bundle) for bundle in bundles)
    room = [share * images for share in shares]
    parts: list[list[Record]] = [[] for _ in shares]
    waiting = set(order)

    def give(number: int, want: Sequence[float]) -> None:
        part = max(range(len(shares)), key=lambda i: (want[i], room[i], generator.random()))
        parts[part] += bundles[number]
        room[part] -= len(bundles[number])
        waiting.discard(number)
        for label, count in counts[number].items():
            lacking[label][part] -= count
            left[label] -= count

    while waiting and any(left.values()):
        rarest = min((label for label in left if left[label] > 0), key=lambda label: left[label])
        for number in members[rarest]:
            if number in waiting:
                give(number, lacking[rarest])
    for number in order:
        if number in waiting:
            give(number, room)
    return parts
