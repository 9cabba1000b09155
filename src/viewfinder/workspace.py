"""Where the user's checkout lies."""

from pathlib import Path

from viewfinder.errors import ViewfinderError

_MARKER = "params.yaml"

ADDED = Path(".cache", "viewfinder", "added")
"""What `viewfinder add` fetched and `download` did not take over yet, from the checkout."""


def project_dir() -> Path:
    """Return the nearest folder, from here upwards, that holds a ``params.yaml``.

    Raises:
        ViewfinderError: If the command runs outside a checkout.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / _MARKER).is_file() and (folder / "conf").is_dir():
            return folder
    raise ViewfinderError(
        f"No {_MARKER} and conf/ in {here} or any folder above it. "
        "Run viewfinder inside a checkout of the project."
    )


def find(path: Path) -> Path:
    """Return where a path leads that counts from the project, whatever folder one is in.

    What the project lacks is looked for in the user's own checkout, of which a temporary copy
    holds only what git tracks.
    """
    if path.is_absolute():
        return path
    here = project_dir() / path
    return here if here.exists() else root() / path


def root() -> Path:
    """Return the user's own checkout, even inside a temporary copy that DVC made of it.

    ``dvc exp run --temp`` and ``--queue`` work in a copy below the checkout's ``.dvc``; what must
    outlive the experiment (tracking store, resume state) belongs to the checkout itself.
    """
    project = project_dir()
    for folder in project.parents:
        if folder.name == "exps" and folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return project
