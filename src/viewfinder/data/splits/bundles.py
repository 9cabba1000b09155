"""Records that must not be divided."""

from collections.abc import Iterator, Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.disjoint import DisjointSets


def bundle(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records in bundles that belong on one side of any split.

    Records of the same group, exact duplicates and near duplicates stand in one bundle, and so do
    those that are connected by others.

    Returns:
        Bundles in the order of their first record.
    """
    sets = DisjointSets(len(records))
    holder: dict[tuple[str, str], int] = {}
    for number, record in enumerate(records):
        for tie in _ties(record):
            sets.join(number, holder.setdefault(tie, number))
    bundles: dict[int, list[Record]] = {}
    for number, record in enumerate(records):
        bundles.setdefault(sets.first(number), []).append(record)
    return list(bundles.values())


def _ties(record: Record) -> Iterator[tuple[str, str]]:
    for kind in ("group", "fingerprint", "cluster"):
        value = getattr(record, kind)
        if value is not None:
            yield kind, value
