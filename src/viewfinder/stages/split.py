"""``viewfinder split DATASET``: archives to one Arrow file a split, and a report on them."""

import json

from hydra.utils import instantiate

from viewfinder.config import load_dataset
from viewfinder.data.archive import Archive, read_checksums
from viewfinder.data.schema import SPLITS, SplitInfo, raw_path, split_path
from viewfinder.data.splits.report import summarise
from viewfinder.data.splits.writer import write_split
from viewfinder.outputs import new_folder
from viewfinder.workspace import project_dir


def main(name: str) -> None:
    """Write ``data/splits/<name>/``."""
    project = project_dir()
    config = load_dataset(name, project)
    raw = project / raw_path(name)
    with Archive(raw) as archive:
        reading = instantiate(config.reader, _convert_="all")(archive)
        assignment = instantiate(config.split, _convert_="all")(reading.records)
        with new_folder((project / split_path(name, "train")).parent) as folder:
            for split in SPLITS:
                info = SplitInfo(name, split, reading.classes, read_checksums(raw))
                path = folder / split_path(name, split).name
                write_split(path, assignment[split], archive, reading.annotations, info)
            report = summarise(assignment, reading.classes)
            (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    counts = ", ".join(f"{split} {len(assignment[split])}" for split in SPLITS)
    print(f"{name}: {len(reading.classes)} classes; {counts} images")
