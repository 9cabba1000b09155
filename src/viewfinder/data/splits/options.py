"""What a data set's split config says besides its method."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from viewfinder.data.readers.record import LeftOut, Object, Reading, Record
from viewfinder.errors import ViewfinderError

Reaction = Literal["fail", "skip"]
LeakReaction = Literal["fail", "warn"]


@dataclass(frozen=True)
class SplitOptions:
    """How the images are treated before and after a split method divides them.

    Attributes:
        on_error: Whether samples that can't be used stop the stage, or are left out and listed.
        single_object: Whether only images with exactly one object are kept, for localization; the
            others are listed. Crowds and boxes without an area do not count.
        group_by: Pattern searched in each image's path; what it matches (the first of its groups
            that matches, if it has any) is the image's group. None keeps the reader's groups.
        near_duplicates: Whether near duplicates are searched and kept together. The search leaves
            out images below 16 pixels.
        leaks: Whether a group or an exact duplicate on two sides stops the stage. Where the
            authors' own split put it on two sides, there is a warning in any case.
    """

    on_error: Reaction = "fail"
    single_object: bool = False
    group_by: str | None = None
    near_duplicates: bool = True
    leaks: LeakReaction = "fail"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ViewfinderError: If a value is none of those that are known.
        """
        for name, value, known in (
            ("on_error", self.on_error, get_args(Reaction)),
            ("leaks", self.leaks, get_args(LeakReaction)),
            ("near_duplicates", self.near_duplicates, (True, False)),
            ("single_object", self.single_object, (True, False)),
        ):
            if value not in known:
                choices = " or ".join(str(choice).lower() for choice in known)
                raise ViewfinderError(f"split.{name} is {value!r}; expected {choices}.")
        try:
            re.compile(self.group_by or "")
        except (re.error, TypeError) as error:
            raise ViewfinderError(
                f"split.group_by is {self.group_by!r}, which is no regular expression: {error}."
            ) from error

    def select(self, reading: Reading) -> tuple[Reading, list[LeftOut]]:
        """Return the reading without the images that are not wanted, and these.

        Raises:
            ViewfinderError: If only images with one object are wanted and the data set has none.
        """
        if not self.single_object:
            return reading, []
        numbers = [sum(map(_counts, record.objects or ())) for record in reading.records]
        kept = [
            record for record, number in zip(reading.records, numbers, strict=True) if number == 1
        ]
        if not kept:
            raise ViewfinderError(
                f"split.single_object keeps only images with exactly one object, and none of the "
                f"{len(numbers)} images has one; the data set has "
                f"{', '.join(reading.annotations)}. Leave the option out."
            )
        others = [
            LeftOut(record.id, f"it holds {number} objects; `single_object` keeps images with one")
            for record, number in zip(reading.records, numbers, strict=True)
            if number != 1
        ]
        return replace(reading, records=kept), others

    def with_groups(self, records: list[Record]) -> list[Record]:
        """Return the records with the groups that ``group_by`` finds in their paths.

        Raises:
            ViewfinderError: If the pattern does not match a path.
        """
        if self.group_by is None:
            return records
        pattern = re.compile(self.group_by)
        grouped = []
        for record in records:
            group = _matched(pattern.search(record.id))
            if group is None:
                raise ViewfinderError(
                    f"split.group_by {self.group_by!r} matches nothing in the path {record.id!r}. "
                    "Choose a pattern that matches every path."
                )
            grouped.append(replace(record, group=group))
        return grouped


def _matched(match: re.Match[str] | None) -> str | None:
    """Return what the first of a pattern's groups matched, or the whole one without any."""
    if match is None or not match.re.groups:
        return match and match.group()
    return next((group for group in match.groups() if group is not None), None)


def _counts(item: Object) -> bool:
    left, top, right, bottom = item.bbox
    return right > left and bottom > top and not item.crowd


OPTIONS = tuple(field.name for field in fields(SplitOptions))


def take_options(config: Mapping[str, Any]) -> tuple[SplitOptions, dict[str, Any]]:
    """Divide a split config into its options and the config of its method.

    Raises:
        ViewfinderError: If an option has a value that is not known.
    """
    options = {key: value for key, value in config.items() if key in OPTIONS}
    method = {key: value for key, value in config.items() if key not in OPTIONS}
    return SplitOptions(**options), method
