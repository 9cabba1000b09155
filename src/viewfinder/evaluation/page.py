"""The report on an experiment as one page that needs nothing else."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viewfinder.evaluation.analysis.section import even, failures
from viewfinder.evaluation.figures import Figure
from viewfinder.evaluation.inside import read_inside
from viewfinder.evaluation.intervals import RESAMPLES
from viewfinder.evaluation.measures.per_class import PRECISION_RECALL
from viewfinder.pages import embedded, render

_PICTURES = (
    ("curves.png", "Training", "Loss and validation metrics by epoch; the best epoch is marked."),
    ("confusion.png", "Confusion", "What each class was taken for."),
    ("precision_recall.png", "Precision and recall", "From the surest predictions to all of them."),
    ("roc.png", "True and false positives", "From the surest predictions to all of them."),
    ("errors.png", "Mistakes", "What average precision would gain if one kind were mended."),
    ("calibration.png", "Calibration", "Whether 80 % sure is right 80 times of 100."),
    ("predictions.png", "Predictions", "Chosen evenly through the test split."),
    ("worst.png", "The worst predictions", "The worst first."),
    (
        "heatmaps.png",
        "Where it looks",
        "Bright parts speak for the class: the worst images first, then some of all.",
    ),
    ("augmentations.png", "What it was trained on", "Training images as the network saw them."),
)


@dataclass(frozen=True)
class Facts:
    """What a report says besides its figures.

    Attributes:
        name: The experiment.
        task: Name of the task.
        dataset: Name of the data set.
        images: Number of test images.
        groups: Number of groups that they belong to.
        model: What the model is, by name of the fact.
        lineage: Where it came from, by name of the fact.
        command: What makes all of it anew.
    """

    name: str
    task: str
    dataset: str
    images: int
    groups: int
    model: Mapping[str, str]
    lineage: Mapping[str, str]
    command: str


def write_page(path: Path, facts: Facts, metrics: Mapping[str, Figure], folder: Path) -> None:
    """Write the report on an experiment as HTML, with its pictures inside.

    Args:
        path: The file to write.
        facts: What it says besides the figures.
        metrics: The test metrics.
        folder: Has the pictures in ``plots/``, and in ``tables/`` ``per_class.csv`` and
            what else there is.
    """
    columns, rows = _table(folder / "tables" / "per_class.csv")
    context = {
        "facts": facts,
        "resamples": RESAMPLES,
        "headline": [
            _bar(name, metrics[name])
            for name in sorted(metrics, key=_goes_by_thresholds)
            if _leads(metrics[name])
        ],
        "others": [(name, _text(figure)) for name, figure in metrics.items() if not _leads(figure)],
        "columns": columns,
        "rows": rows,
        "blanks": any("" in row for row in rows),
        "told": _told(folder / "tables" / "operating_point.csv"),
        "pictures": _pictures(folder / "plots"),
        "failures": failures(folder),
        "inside": read_inside(folder),
    }
    path.write_text(render("viewfinder.evaluation", "page.html.j2", context), encoding="utf-8")


def _goes_by_thresholds(name: str) -> bool:
    """Whether a metric goes by thresholds: what needs none comes first."""
    return name.removeprefix("mask_") in PRECISION_RECALL


def _leads(figure: Figure) -> bool:
    """Whether a metric has an interval, or should have one."""
    return figure.low is not None or (figure.value is not None and figure.reason is not None)


def _text(figure: Figure) -> str:
    return f"{figure.value:.4f}" if figure.value is not None else f"not defined: {figure.reason}"


def _bar(name: str, figure: Figure) -> dict[str, Any]:
    """Return a metric, and its interval in percent of the scale from 0 to 1."""
    assert figure.value is not None
    bar = {"name": name, "value": f"{figure.value:.4f}", "dot": 100 * figure.value}
    if figure.low is None or figure.high is None:
        return bar | {"ends": figure.reason}
    ends = f"{figure.low:.4f} to {figure.high:.4f}"
    width = 100 * (figure.high - figure.low)
    return bar | {"ends": ends, "left": 100 * figure.low, "width": width}


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    return columns, [[even(value) for value in row] for row in rows]


def _told(path: Path) -> tuple[list[str], list[list[str]]] | None:
    return _table(path) if path.is_file() else None


def _pictures(plots: Path) -> Sequence[dict[str, str]]:
    return [
        {"uri": embedded(plots / name), "title": title, "note": note}
        for name, title, note in _PICTURES
        if (plots / name).is_file()
    ]
