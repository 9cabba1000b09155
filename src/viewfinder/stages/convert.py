"""``viewfinder convert DATASET FORMAT FOLDER``: split files to the format of another tool."""

from collections.abc import Callable, Mapping
from pathlib import Path

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.schema import SPLITS, Split, split_path
from viewfinder.data.writers.coco import write_coco
from viewfinder.data.writers.voc import write_voc
from viewfinder.data.writers.yolo import write_yolo
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_folder
from viewfinder.workspace import project_dir

Writer = Callable[[Path, Mapping[Split, SplitFile]], list[str]]
WRITERS: dict[str, Writer] = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


def main(name: str, format: str, folder: str) -> None:
    """Write the splits of a data set to a new folder, whole or not at all."""
    target = Path(folder).absolute()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ViewfinderError(
            f"{target} exists and is not empty; expected a new folder, since what is in it would "
            "be lost. Name another one."
        )
    project = project_dir()
    splits = {split: SplitFile(project / split_path(name, split)) for split in SPLITS}
    with new_folder(target) as draft:
        losses = WRITERS[format](draft, splits)
    counts = ", ".join(f"{split} {len(file)}" for split, file in splits.items())
    print(f"{name}: {counts} images as {format} in {target}")
    for loss in losses:
        print(f"{name}: {format} has no place for {loss}")
