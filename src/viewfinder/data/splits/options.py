"""What a data set's split config says besides its method."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from viewfinder.data.readers.record import Record
from viewfinder.errors import ViewfinderError

Reaction = Literal["fail", "skip"]
LeakReaction = Literal["fail", "warn"]


@dataclass(frozen=True)
class SplitOptions:
    """How the images are treated before and after a split method divides them.

    Attributes:
        on_error: Whether images that can't be used stop the stage, or are left out and listed.
        group_by: Pattern searched in each image's path; what it matches (its first group, if it
            has one) is the image's group. None keeps the reader's groups.
        near_duplicates: Whether near duplicates are searched and kept together. The search leaves
            out images below 16 pixels.
        leaks: Whether a group or an exact duplicate on two sides stops the stage. Where the
            authors' own split put it on two sides, there is a warning in any case.
    """

    on_error: Reaction = "fail"
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
            match = pattern.search(record.id)
            if match is None:
                raise ViewfinderError(
                    f"split.group_by {self.group_by!r} matches nothing in the path {record.id!r}. "
                    "Choose a pattern that matches every path."
                )
            grouped.append(replace(record, group=match.group(1 if pattern.groups else 0)))
        return grouped


def take_options(config: Mapping[str, Any]) -> tuple[SplitOptions, dict[str, Any]]:
    """Divide a split config into its options and the config of its method.

    Raises:
        ViewfinderError: If an option has a value that is not known.
    """
    names = {field.name for field in fields(SplitOptions)}
    options = {key: value for key, value in config.items() if key in names}
    method = {key: value for key, value in config.items() if key not in names}
    return SplitOptions(**options), method
