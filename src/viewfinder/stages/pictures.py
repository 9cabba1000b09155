"""The pictures that a user names on the command line."""

from collections.abc import Sequence
from pathlib import Path

from viewfinder.data.readers.members import IMAGE_SUFFIXES, is_image
from viewfinder.errors import ViewfinderError


def find_pictures(names: Sequence[str]) -> list[Path]:
    """Return the files that are named, and those of folders that are.

    Args:
        names: Files of pictures, and folders of which all pictures are meant, by their names'
            order; folders inside them are left out.

    Raises:
        ViewfinderError: If there is no such file, or a folder holds no picture.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            paths += _of_folder(path)
        elif path.is_file():
            paths.append(path)
        else:
            raise ViewfinderError(f"There is no picture {path}.")
    return paths


def _of_folder(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    pictures = [path for path in files if is_image(path.name)]
    if not pictures:
        raise ViewfinderError(
            f"The folder {folder} holds no picture: of its {len(files)} files none ends in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return pictures
