"""``viewfinder split DATASET``: archives to one Arrow file a split, and a report on them."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from viewfinder.config import load_dataset
from viewfinder.data.archive import Archive, read_checksums
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.report.document import Outcome, write_document
from viewfinder.data.report.page import write_page
from viewfinder.data.report.split_rows import SplitRows
from viewfinder.data.schema import SPLITS, SplitInfo, raw_path, split_path
from viewfinder.data.splits.assign import Assignment
from viewfinder.data.splits.duplicates import mark_near_duplicates
from viewfinder.data.splits.leaks import check_assignment, check_leaks, find_leaks
from viewfinder.data.splits.options import OPTIONS, SplitOptions, take_options
from viewfinder.data.splits.scan import scan_images
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_folder
from viewfinder.stages.augmentations import show_options
from viewfinder.stages.building import build, section
from viewfinder.workspace import project_dir


def main(name: str) -> None:
    """Write ``data/splits/<name>/``."""
    project = project_dir()
    config = load_dataset(name, project)
    reader = build(section(config, name, "reader"), name, "reader")
    options, settings = take_options(section(config, name, "split"))
    method = build(settings, name, "split", besides=OPTIONS)
    raw = project / raw_path(name)
    with Archive(raw) as archive:
        reading = reader(archive)
        _check_classes(name, reading, config)
        outcome = _divide(name, reading, archive, options, method)
        with new_folder((project / split_path(name, "train")).parent) as folder:
            for split in SPLITS:
                info = SplitInfo(name, split, reading.classes, read_checksums(raw))
                path = folder / split_path(name, split).name
                write_split(path, outcome.assignment[split], archive, reading.annotations, info)
            warnings = _report(outcome, folder, project)
    for warning in warnings:
        print(f"{name}: warning: {warning}", file=sys.stderr)
    counts = ", ".join(f"{split} {len(outcome.assignment[split])}" for split in SPLITS)
    print(f"{name}: {len(reading.classes)} classes; {counts} images")


def _check_classes(name: str, reading: Reading, config: DictConfig) -> None:
    stated = config.get("num_classes")
    if stated is not None and stated != len(reading.classes):
        raise ViewfinderError(
            f"conf/dataset/{name}.yaml states num_classes: {stated}, but the reader found "
            f"{len(reading.classes)}: {', '.join(reading.classes[:20])}. Correct the number, or "
            "the reader's options if it found the wrong ones."
        )


def _divide(
    name: str,
    reading: Reading,
    archive: Archive,
    options: SplitOptions,
    method: Callable[[Sequence[Record]], Assignment],
) -> Outcome:
    wanted, unwanted = options.select(reading)
    scan = scan_images(wanted, archive, on_error=options.on_error)
    records = mark_near_duplicates(scan) if options.near_duplicates else scan.records
    records = options.with_groups(records)
    assignment = method(records)
    check_assignment(assignment)
    leaks = find_leaks(assignment)
    warnings = check_leaks(leaks, reaction=options.leaks)
    return Outcome(name, reading.classes, records, assignment, scan, leaks, warnings, unwanted)


def _report(outcome: Outcome, folder: Path, project: Path) -> list[str]:
    """Write the report; returns its warnings."""
    with SplitRows(folder, outcome.assignment) as rows:
        document = write_document(outcome, rows)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        # Not in report.json, on which evaluations depend.
        augmented, refused = show_options(SplitFile(folder / "train"), project)
        write_page(folder / "report.html", document, rows, augmented, refused)
    return [*document["warnings"], *refused]
