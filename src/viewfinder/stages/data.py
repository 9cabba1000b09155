"""``viewfinder data DATASET``: what a data set holds, in the terminal and under augmentations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from viewfinder.config import load_dataset
from viewfinder.data.report.copies import unlike_first
from viewfinder.data.report.reading import read_report
from viewfinder.data.schema import SPLITS, report_path, split_path
from viewfinder.outputs import new_file
from viewfinder.workspace import project_dir

_MOST_CLASSES = 30
_MOST_IDS = 5
_MOST_COPIES = 4


def main(name: str, augment: Sequence[str] | None) -> None:
    """Print the summary of ``data/splits/<name>/report.json``, or draw augmentations.

    Args:
        name: The data set.
        augment: The options of ``conf/augment/`` to draw; None prints the summary.

    Raises:
        ViewfinderError: If the data set was not split yet, or there is no such option.
    """
    project = project_dir()
    load_dataset(name, project)
    if augment is not None:
        _draw(name, augment, project)
        return
    report = read_report(name, project)
    console = Console(highlight=False)
    console.print(_overview(report))
    console.print(_classes(report))
    for title, rows in _findings(report):
        console.print(_list(title, rows))
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    console.print(f"With pictures: {report_path(name)}", markup=False)


def _draw(name: str, options: Sequence[str], project: Path) -> None:
    from viewfinder.data.loading.split_file import SplitFile
    from viewfinder.evaluation.augmentations import draw_augmentations
    from viewfinder.stages.augmentations import build_option, drawn_size

    split = SplitFile(project / split_path(name, "train"))
    size = drawn_size(split)
    transforms = {option: build_option(option, size, project) for option in options}
    path = project / "outputs" / "augmentations" / f"{name}-{'-'.join(options)}.png"
    with new_file(path) as draft:
        draw_augmentations(
            draft, split, size, transforms, heading=f"{name}: training images", seed=0
        )
    print(f"Wrote {path.relative_to(project)}")


def _overview(report: dict[str, Any]) -> Table:
    table = Table(title=report["dataset"], title_justify="left", show_header=False)
    sizes, pixels = report["image_sizes"], report["pixels_of_train"]
    parts = [f"{split} {report['splits'][split]['images']:,}" for split in SPLITS]
    total = sum(report["splits"][split]["images"] for split in SPLITS)
    table.add_row("images", f"{total:,} ({', '.join(parts)})")
    table.add_row("classes", str(len(report["classes"])))
    objects = sum(report["splits"][split]["objects"] for split in SPLITS)
    if objects:
        table.add_row("objects", f"{objects:,}")
    for side in ("width", "height"):
        values = sizes[side]
        spread = f"{values['min']} to {values['max']}, median {values['median']}"
        text = values["max"] if values["min"] == values["max"] else spread
        table.add_row(f"{side}, pixels", str(text))
    for key, label in (("mean", "mean"), ("std", "standard deviation")):
        values = "  ".join(f"{value:.4f}" for value in pixels[key])
        table.add_row(f"{label} of red, green, blue", values)
    return table


def _classes(report: dict[str, Any]) -> Table:
    objects = bool(report["objects"])
    key = "by_class" if objects else "images_by_class"
    title = "Objects by class" if objects else "Images by class"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for split in (*SPLITS, "all"):
        table.add_column(split, justify="right")
    for name in report["classes"][:_MOST_CLASSES]:
        counts = [report["splits"][split][key][name] for split in SPLITS]
        table.add_row(Text(name), *(f"{count:,}" for count in (*counts, sum(counts))))
    more = len(report["classes"]) - _MOST_CLASSES
    if more > 0:
        table.add_row(f"and {more} more")
    return table


def _findings(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the title and the lines of each list that is not empty."""
    duplicates, boxes = report["duplicates"], report["boxes"]
    lists = [
        ("Samples that can't be used", _reasons(report["left_out"])),
        ("Damaged, but used", _reasons(report["damaged"])),
        ("Left out on purpose", _reasons(report["unwanted"])),
        ("Boxes without area", [f"{box['id']} {box['bbox']}" for box in boxes["empty"]]),
        ("Boxes out of the image", [f"{box['id']} {box['bbox']}" for box in boxes["out_of_frame"]]),
        (
            "Equal pixels, different classes",
            [
                _some([f"{item['id']} ({', '.join(item['classes'])})" for item in group], " = ")
                for group in map(unlike_first, duplicates["contradicting"])
            ],
        ),
        ("Equal pixels", [_some(group, " = ") for group in duplicates["exact"]]),
        ("Near duplicates", [_some(group, " ~ ") for group in duplicates["near"]]),
    ]
    return [(title, rows) for title, rows in lists if rows]


def _reasons(left_out: list[dict[str, str]]) -> list[str]:
    return [f"{item['id']}: {item['reason']}" for item in left_out]


def _some(names: Sequence[str], sign: str) -> str:
    more = len(names) - _MOST_COPIES
    return sign.join(names[:_MOST_COPIES]) + (f" and {more} more" if more > 0 else "")


def _list(title: str, rows: list[str]) -> Table:
    table = Table(title=f"{title}: {len(rows)}", title_justify="left", show_header=False)
    table.add_column(overflow="fold")
    for row in rows[:_MOST_IDS]:
        table.add_row(Text(row))
    if len(rows) > _MOST_IDS:
        table.add_row(f"and {len(rows) - _MOST_IDS} more in report.json")
    return table
