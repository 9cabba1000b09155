"""``VIEWFINDER_MIRROR``: a folder or an address that is looked in before the internet."""

import os
from pathlib import Path
from urllib.parse import quote

from viewfinder.errors import ViewfinderError
from viewfinder.workspace import root

VARIABLE = "VIEWFINDER_MIRROR"


def mirror_folder() -> Path | None:
    """Return the mirror if it is a folder.

    A relative path counts from the current folder, else from the user's checkout, so that it holds
    inside ``dvc exp run --temp`` too.

    Raises:
        ViewfinderError: If the variable names neither a folder nor an address.
    """
    value = os.environ.get(VARIABLE, "")
    if not value or "://" in value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir() and not folder.is_absolute():
        folder = root() / folder
    if not folder.is_dir():
        raise ViewfinderError(
            f"{VARIABLE} is {value!r}, which is no folder and no address. Correct or unset it."
        )
    return folder


def mirror_url(name: str) -> str | None:
    """Return the address of a file of this name, if the mirror is an address."""
    value = os.environ.get(VARIABLE, "")
    return f"{value.rstrip('/')}/{quote(name)}" if "://" in value else None
