"""What a data set holds, in numbers and ids."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from viewfinder.data.readers.record import LeftOut, Record
from viewfinder.data.report.copies import describe_copies
from viewfinder.data.report.counts import co_occurrence, count_split
from viewfinder.data.report.images import describe_pixels, describe_sizes
from viewfinder.data.report.masks import count_pixels, describe_masks
from viewfinder.data.report.objects import describe_objects, suspicious_boxes
from viewfinder.data.report.split_rows import SplitRows
from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.splits.assign import Assignment
from viewfinder.data.splits.leaks import Leak
from viewfinder.data.splits.scan import Scan

Document = dict[str, Any]
_MANY_ALIKE = 0.1


@dataclass(frozen=True)
class Outcome:
    """What the split stage did.

    Attributes:
        dataset: Name of the data set.
        classes: Class names.
        records: All images that can be used, also those that are in no split.
        assignment: The images of each split.
        scan: What was seen in the images.
        leaks: What stands on two sides.
        warnings: What was said about the leaks.
        unwanted: Images that the split's options exclude.
    """

    dataset: str
    classes: list[str]
    records: list[Record]
    assignment: Assignment
    scan: Scan
    leaks: list[Leak]
    warnings: list[str]
    unwanted: list[LeftOut]


def write_document(outcome: Outcome, rows: SplitRows) -> Document:
    """Describe a data set that was divided.

    Args:
        outcome: What the split stage did.
        rows: The split files that it wrote.

    Returns:
        A document for JSON.
    """
    parts, classes = outcome.assignment, outcome.classes
    everything = [record for split in SPLITS for record in parts[split]]
    pixels = {split: count_pixels(rows.masks(split)) for split in SPLITS}
    present = {split: [record.classes() for record in parts[split]] for split in SPLITS}
    counts = {split: count_split(parts[split], present[split], classes) for split in SPLITS}
    boxes = suspicious_boxes(parts)
    for split in SPLITS:
        empty = dict.fromkeys(box["id"] for box in boxes["empty"] if box["split"] == split)
        counts[split]["images_with_empty_boxes"] = list(empty)
    all_pixels = np.concatenate(list(pixels.values()))
    document: Document = {
        "dataset": outcome.dataset,
        "classes": classes,
        "splits": counts,
        "unused_images": len(outcome.records) - len(everything),
        "left_out": [asdict(item) for item in outcome.scan.left_out],
        "damaged": [
            {"id": name, "reason": damage} for name, damage in outcome.scan.damaged.items()
        ],
        "unwanted": [asdict(item) for item in outcome.unwanted],
        "image_sizes": describe_sizes(everything),
        "pixels_of_train": describe_pixels(outcome.scan, parts["train"]),
        "objects": describe_objects(everything, classes),
        "masks": describe_masks(all_pixels, classes) if len(all_pixels) else {},
        "co_occurrence": co_occurrence(
            [item for split in SPLITS for item in present[split]], classes
        ),
        "boxes": boxes,
        "duplicates": describe_copies(outcome.records, classes, outcome.leaks),
    }
    return document | {"warnings": [*outcome.warnings, *_warnings(document)]}


def _warnings(document: Document) -> list[str]:
    """Say in one line each what deserves a look."""
    duplicates, boxes = document["duplicates"], document["boxes"]
    total = sum(counts["images"] for counts in document["splits"].values())
    found = (
        ("samples that can't be used were left out", len(document["left_out"])),
        ("images that are damaged, but used", len(document["damaged"])),
        ("images without exactly one object were left out", len(document["unwanted"])),
        ("images in none of the splits", document["unused_images"]),
        ("boxes without area", len(boxes["empty"])),
        ("boxes that reach out of their image", len(boxes["out_of_frame"])),
        ("groups of exact duplicates", len(duplicates["exact"])),
        ("of these with different classes", len(duplicates["contradicting"])),
        ("groups of near duplicates", len(duplicates["near"])),
    )
    warnings = [f"{text}: {number}" for text, number in found if number]
    alike = sum(map(len, duplicates["near"]))
    if alike > _MANY_ALIKE * (total + document["unused_images"]):
        warnings.append(
            f"{alike} images look so alike that they count as near duplicates, which a drawn split "
            "keeps together; `near_duplicates: false` under `split:` turns that off"
        )
    return warnings + [line for split in SPLITS for line in _missing(document, split)]


def _missing(document: Document, split: Split) -> list[str]:
    images = document["splits"][split]["images_by_class"]
    absent = [name for name, number in images.items() if not number]
    if not absent:
        return []
    number = "one class" if len(absent) == 1 else f"{len(absent)} classes"
    return [f"{split} has no image of {number}: {', '.join(absent[:10])}"]
