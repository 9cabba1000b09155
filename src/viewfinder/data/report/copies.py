"""Duplicates in a data set, by id."""

from collections.abc import Sequence
from typing import Any

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.duplicates import contradicting, exact_duplicates, near_duplicates
from viewfinder.data.splits.leaks import Leak


def describe_copies(
    records: Sequence[Record], classes: Sequence[str], leaks: Sequence[Leak]
) -> dict[str, Any]:
    """List exact and near duplicates, exact ones with other classes, and what stands on two sides.

    Returns:
        Lists of groups: of ids; for contradicting ones of ids and class names.
    """
    exact = exact_duplicates(records)
    return {
        "exact": [_ids(group) for group in exact],
        "contradicting": [
            [{"id": record.id, "classes": _names(record, classes)} for record in group]
            for group in exact
            if contradicting(group)
        ],
        "near": [_ids(group) for group in near_duplicates(records)],
        "on_two_sides": [
            {"kind": leak.kind, "official": leak.official, "ids": leak.ids} for leak in leaks
        ],
    }


def unlike_first(group: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return contradicting copies with one of each class first, since few of them are shown."""
    seen: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in group:
        seen.setdefault(tuple(item["classes"]), item)
    first = list(seen.values())
    return [*first, *(item for item in group if item not in first)]


def _ids(group: Sequence[Record]) -> list[str]:
    return [record.id for record in group]


def _names(record: Record, classes: Sequence[str]) -> list[str]:
    return [classes[label] for label in sorted(record.classes())]
