"""``viewfinder download DATASET``: the authors' archives, unopened, with their checksums."""

import errno
import shutil

from viewfinder.config import load_dataset
from viewfinder.data.archive import write_checksums
from viewfinder.data.schema import raw_path
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_folder
from viewfinder.stages.building import build, section
from viewfinder.workspace import ADDED, project_dir, root


def main(name: str) -> None:
    """Write ``data/raw/<name>/``.

    Raises:
        ViewfinderError: If the source can't be had, or the folder can't be written.
    """
    project = project_dir()
    target = project / raw_path(name)
    source = build(section(load_dataset(name, project), name, "source"), name, "source")
    try:
        with new_folder(target) as folder:
            source(folder)
            write_checksums(folder)
        shutil.rmtree(root() / ADDED / name, ignore_errors=True)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise ViewfinderError(
            f"{error.filename}: {error.strerror}. The data set {name!r} is written to {target} by "
            "way of .cache/viewfinder in the project; both must be writable, and a local source "
            "readable. Mend the permissions."
        ) from error
