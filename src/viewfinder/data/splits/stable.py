"""Splits that do not move when the data set grows."""

import hashlib
from collections.abc import Sequence

from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.splits.assign import Assignment, check_shares


def stable_split(
    records: Sequence[Record], *, val: float, test: float, seed: int = 0
) -> Assignment:
    """Assign each group by a hash of its name, whatever else is in the data set.

    Images that are added or removed later never move another one. An image without a group goes by
    its pixels, so exact duplicates stay together; near duplicates can't, without moving old
    images, unless they have a group. The shares are met on average, not by class.

    Args:
        records: The images.
        val: Share of the groups for validation, in (0, 1).
        test: Share of the groups for testing, in (0, 1).
        seed: Another seed gives another split.

    Raises:
        ViewfinderError: If the shares leave nothing to train on.
    """
    check_shares({"val": val, "test": test})
    assignment: Assignment = {split: [] for split in SPLITS}
    for record in records:
        place = _place(record.group or record.fingerprint or record.id, seed)
        split: Split = "test" if place < test else "val" if place < test + val else "train"
        assignment[split].append(record)
    return assignment


def _place(name: str, seed: int) -> float:
    """Return a number in [0, 1) that only depends on the name and the seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
