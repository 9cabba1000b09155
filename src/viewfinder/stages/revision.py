"""Files that DVC keeps, as they were in a Git revision."""

from pathlib import Path

from viewfinder.errors import ViewfinderError


def fetch_from_revision(project: Path, revision: str, path: str, folder: Path) -> Path | None:
    """Fetch one file of a revision from DVC's cache, its remote or Git.

    Args:
        project: The checkout.
        revision: Any name of a commit that Git understands.
        path: The file, from the checkout.
        folder: An existing folder; the file comes under the same path below it.

    Returns:
        The file; None if the revision has no such file.

    Raises:
        ViewfinderError: If the revision has it, but neither cache nor remote do.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        files = DVCFileSystem(str(project), rev=revision)
        if not files.exists(path):
            return None
        files.get_file(path, str(target))
    except (DvcException, OSError) as error:
        target.unlink(missing_ok=True)
        raise ViewfinderError(
            f"{path} of the revision {revision!r} is not in DVC's cache ({error}). Fetch it with "
            f"`dvc fetch --all-commits` if there is a remote, or make it again: "
            f"`git checkout {revision}` and `dvc repro`."
        ) from error
    return target
