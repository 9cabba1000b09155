"""The rows of split files, as writers see them."""

import io
from collections.abc import Generator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.progress import progress
from viewfinder.data.readers.members import is_image
from viewfinder.data.readers.record import Object
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_BETWEEN_FOLDERS = "__"
_COLUMNS = ["id", "image", "width", "height", "objects"]


class Picture(NamedTuple):
    """One row: the file name of its image, unique in its split, and what is in it."""

    split: Split
    name: PurePosixPath
    content: bytes
    size: tuple[int, int]
    objects: list[Object]


def pictures(splits: Mapping[Split, SplitFile], description: str) -> Generator[Picture]:
    """Go through the rows of all splits, with a progress bar; to be closed.

    Raises:
        ViewfinderError: If the data set has no boxes, or two images of a split would have the same
            name but for their extension.
    """
    rows = [(split, index) for split, file in splits.items() for index in range(len(file))]
    for file in splits.values():
        if "objects" not in file.table.column_names:
            raise ViewfinderError(
                f"{file.path} has no boxes, which this format is for; it has "
                f"{', '.join(file.table.column_names)}. Convert a data set with boxes."
            )
    used: set[tuple[Split, str]] = set()
    with progress(rows, description) as items:
        for split, index in items:
            picture = _picture(split, splits[split].row(index, _COLUMNS))
            key = (split, picture.name.stem)
            if key in used:
                raise ViewfinderError(
                    f"{splits[split].path}: two images are called {key[1]!r} but for their "
                    "extension, so one annotation would overwrite the other. Rename one of them."
                )
            used.add(key)
            yield picture


def write_picture(folder: Path, picture: Picture, path: PurePosixPath) -> None:
    """Write an image, as its authors encoded it, to a path below a folder."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(picture.content)


def _picture(split: Split, row: Mapping[str, Any]) -> Picture:
    content = row["image"]["bytes"]
    # One flat folder: other tools look for annotations by replacing a folder's name in the path.
    name = _BETWEEN_FOLDERS.join(PurePosixPath(row["id"].replace("\\", "/")).parts).lstrip("/.")
    if not is_image(name):
        with Image.open(io.BytesIO(content)) as image:
            name = f"{name}.{(image.format or 'png').lower()}"
    objects = [Object(**{**item, "bbox": tuple(item["bbox"])}) for item in row["objects"]]
    return Picture(split, PurePosixPath(name), content, (row["width"], row["height"]), objects)
