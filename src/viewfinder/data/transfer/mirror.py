"""``VIEWFINDER_MIRROR``: a folder or an address that is looked in before the internet."""

import os
from pathlib import Path
from urllib.parse import quote

from viewfinder.errors import ViewfinderError
from viewfinder.workspace import root

VARIABLE = "VIEWFINDER_MIRROR"
_SCHEME = "mirror://"


def only_in_mirror(url: str) -> bool:
    """Return whether a source is to be had from a mirror alone, as in ``mirror:///smile.zip``."""
    return url.startswith(_SCHEME)


def no_mirror(name: str) -> ViewfinderError:
    """Return the error for a file that only a mirror has, and this one has not."""
    return ViewfinderError(
        f"{name} has no public address: it is taken from a mirror. Set {VARIABLE} to the folder or "
        f"the address that holds it; now it is {os.environ.get(VARIABLE, '') or 'not set'}."
    )


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
