"""Splits for the benchmarks, written as the split stage writes them."""

from collections.abc import Iterable
from pathlib import Path

from viewfinder.data.schema import SplitInfo, split_path, split_schema
from viewfinder.data.shards import ShardWriter


def write_labelled(
    project: Path,
    dataset: str,
    images: Iterable[tuple[str, bytes, int]],
    classes: list[str],
    size: tuple[int, int],
) -> None:
    """Write a train split of images of one size.

    Args:
        project: The checkout to write below.
        dataset: Name of the data set.
        images: Id, encoded image and class of each.
        classes: Class names.
        size: Height and width in pixels.
    """
    schema = split_schema(["label"], SplitInfo(dataset, "train", classes, {}))
    with ShardWriter(project / split_path(dataset, "train"), schema) as shards:
        for name, content, label in images:
            row = {
                "id": name,
                "image": {"bytes": content, "path": name},
                "height": size[0],
                "width": size[1],
                "group": None,
                "label": label,
            }
            shards.write(row, len(content))


def split_of_folder(folder: Path, project: Path, dataset: str, size: tuple[int, int]) -> None:
    """Write a train split of a folder of photos of one height and width, one folder a class."""
    classes = sorted(path.name for path in folder.iterdir())
    images = (
        (str(path.relative_to(folder)), path.read_bytes(), classes.index(path.parent.name))
        for path in sorted(folder.glob("*/*.jpg"))
    )
    write_labelled(project, dataset, images, classes, size)
