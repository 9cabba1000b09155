"""The data report as one page that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from viewfinder.data.report.augmentations import Column
from viewfinder.data.report.copies import unlike_first
from viewfinder.data.report.document import Document
from viewfinder.data.report.sheet import contact_sheet, show_groups
from viewfinder.data.report.split_rows import SplitRows
from viewfinder.data.schema import SPLITS
from viewfinder.drawing.palette import class_colour
from viewfinder.pages import render

_MOST_IN_TABLE = 40
_MOST_LISTED = 100


def write_page(
    path: Path,
    document: Document,
    rows: SplitRows,
    augmented: Sequence[Column] = (),
    warnings: Sequence[str] = (),
) -> None:
    """Write the report as HTML, with pictures.

    Args:
        path: The file to write.
        document: What :func:`viewfinder.data.report.document.write_document` made.
        rows: The split files, for the pictures.
        augmented: The same training images as they are, and under each augmentation.
        warnings: What is said besides the document's own warnings.
    """
    shown = {"augmented": augmented, "warnings": [*document["warnings"], *warnings]}
    context = _context(document, rows) | shown
    page = render("viewfinder.data.report", "page.html.j2", context)
    path.write_text(page, encoding="utf-8")


def _context(document: Document, rows: SplitRows) -> dict[str, Any]:
    classes, copies = document["classes"], document["duplicates"]
    against = [[item["id"] for item in group] for group in copies["contradicting"]]
    agreeing = [group for group in copies["exact"] if group not in against]
    unlike = [[item["id"] for item in unlike_first(group)] for group in copies["contradicting"]]
    leaks = [
        {**leak, "names": [name for ids in leak["ids"].values() for name in ids[:2]]}
        for leak in copies["on_two_sides"]
    ]
    return {
        "report": document,
        "splits": SPLITS,
        "colours": [class_colour(label) for label in range(len(classes))],
        "total": _sum(document, "images"),
        "objects": _sum(document, "objects"),
        "without": _sum(document, "images_without_class"),
        "most": _MOST_LISTED,
        "class_rows": _class_rows(document),
        "sizes": _size_plot(document["image_sizes"]["most_frequent"]),
        "objects_an_image": _bars(document["objects"].get("of_an_image", {})),
        "co_classes": classes[:_MOST_IN_TABLE],
        "sheet": contact_sheet(rows, classes),
        "against": show_groups(unlike, rows, classes),
        "agreeing": show_groups(agreeing, rows, classes),
        "near": show_groups(copies["near"], rows, classes),
        "leaks": leaks,
        "leak_pictures": show_groups([leak["names"] for leak in leaks], rows, classes),
    }


def _sum(document: Document, key: str) -> int:
    return sum(int(counts[key]) for counts in document["splits"].values())


def _class_rows(document: Document) -> list[dict[str, Any]]:
    """Return for each class its numbers by split and the width of its bars in percent."""
    key = "by_class" if _sum(document, "objects") else "images_by_class"
    rows = [
        {"name": name, "counts": [document["splits"][split][key][name] for split in SPLITS]}
        for name in document["classes"]
    ]
    largest = max((sum(row["counts"]) for row in rows), default=0) or 1
    return [
        row | {"total": sum(row["counts"]), "bars": [100 * n / largest for n in row["counts"]]}
        for row in rows
    ]


def _size_plot(sizes: Sequence[dict[str, int]]) -> dict[str, Any]:
    """Return the image sizes as circles in a plot of 100 by 100."""
    end = max((max(size["width"], size["height"]) for size in sizes), default=1)
    most = max((size["images"] for size in sizes), default=1)
    circles = [
        {
            "x": 96 * size["width"] / end,
            "y": 100 - 96 * size["height"] / end,
            "r": 0.8 + 3 * (size["images"] / most) ** 0.5,
            "text": f"{size['width']} x {size['height']}: {size['images']} images",
        }
        for size in sizes
    ]
    return {"end": end, "circles": circles}


def _bars(counts: dict[str, int], most: int = 24) -> list[dict[str, Any]]:
    """Return a histogram of at most ``most`` bars over numbers from 0 upwards."""
    if not counts:
        return []
    numbers = {int(key): value for key, value in counts.items()}
    width = max(numbers) // most + 1
    bins = [0] * (max(numbers) // width + 1)
    for number, images in numbers.items():
        bins[number // width] += images
    return [
        {
            "count": images,
            "height": 100 * images / max(bins),
            "label": str(low) if width == 1 else f"{low}-{low + width - 1}",
        }
        for low, images in zip(range(0, len(bins) * width, width), bins, strict=True)
    ]
