"""YOLO: ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath

import yaml

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.readers.record import Object
from viewfinder.data.schema import Split
from viewfinder.data.writers.losses import Losses
from viewfinder.data.writers.pictures import pictures, write_picture


def write_yolo(folder: Path, splits: Mapping[Split, SplitFile]) -> list[str]:
    """Write the boxes of splits as YOLO text, with 9 significant digits.

    Args:
        folder: An empty folder to write into.
        splits: The split files of a data set with boxes.

    Returns:
        What the format can't hold, in words: crowds, which are left out, and masks.

    Raises:
        ViewfinderError: If the data set has no boxes.
    """
    losses = Losses()
    with closing(pictures(splits, "to YOLO")) as rows:
        for picture in rows:
            place = PurePosixPath(picture.split) / picture.name
            write_picture(folder, picture, "images" / place)
            kept = losses.keep(picture.objects)
            target = folder / "labels" / place.with_suffix(".txt")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("".join(_line(item, picture.size) for item in kept))
    classes = next(iter(splits.values())).info.classes
    document = {split: f"images/{split}" for split in splits} | {"names": dict(enumerate(classes))}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return losses.described()


def _line(item: Object, size: tuple[int, int]) -> str:
    left, top, right, bottom = item.bbox
    width, height = size
    shares = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return f"{item.category} {' '.join(f'{share:.9g}' for share in shares)}\n"
