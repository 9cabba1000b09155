"""List files: which images belong to which of the authors' splits."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import read_list
from viewfinder.data.readers.refusals import Refused, check_splits, refuse_choice, some
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

Unlisted = Literal["refuse", "leave_out"]


def read_split_lists(archive: Archive, lists: Mapping[Split, str]) -> dict[str, Split]:
    """Return the split of each line of the list files.

    Raises:
        ViewfinderError: If a list is missing or empty, or a line stands in two lists.
    """
    check_splits(lists, "lists")
    split_of: dict[str, Split] = {}
    for split, path in lists.items():
        lines = read_list(archive, path)
        shared = [line for line in lines if line in split_of]
        if shared:
            raise ViewfinderError(
                f"{archive.path}: {some(shared)} stand in {path!r} and in another split's list. "
                "Expected each image in one split: correct the lists."
            )
        split_of |= dict.fromkeys(lines, split)
    return split_of


def refuse_unlisted(
    refused: Refused, images: Mapping[str, str], listed: Collection[str], unlisted: Unlisted
) -> None:
    """Refuse images that no list names, unless they are no part of the data set.

    Args:
        refused: Where they are noted.
        images: Each image's path by the name that a list would give it.
        listed: The names in the lists.
        unlisted: Whether to refuse them.

    Raises:
        ViewfinderError: If ``unlisted`` is none of its choices.
    """
    refuse_choice("unlisted", unlisted, get_args(Unlisted))
    if unlisted == "refuse":
        left = [image for name, image in images.items() if name not in listed]
        mend = "List it, or set the reader's `unlisted: leave_out`."
        refused.without_label(left, "in one of the lists", mend)
