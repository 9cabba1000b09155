"""A comparison as one page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.evaluation.comparison import wording
from viewfinder.evaluation.comparison.comparing import Against, Comparison, Contender
from viewfinder.evaluation.comparison.differences import Difference
from viewfinder.evaluation.comparison.pictures import OF_WHOLE_IMAGES, Shown, show_changes
from viewfinder.pages import render

_MOST_PICTURES, _LEAST_PICTURES = 24, 4
_MOST_IDS = 200
_HALF = 46  # percent of the plot's width on either side of zero


@dataclass(frozen=True)
class _Section:
    """What changed from the baseline to one model.

    Attributes:
        name: The model.
        against: What changed.
        lists: Heading, pictures and the ids of all images, of those that became worse and better.
        figure: The figure by which classes are judged.
    """

    name: str
    against: Against
    lists: list[tuple[str, list[Shown], list[str]]]
    figure: str


def write_page(path: Path, comparison: Comparison, split: SplitFile | None) -> None:
    """Write a comparison as HTML, with pictures.

    Args:
        path: The file to write.
        comparison: What to show.
        split: The test split, for the pictures; None leaves them out.
    """
    page = render(
        "viewfinder.evaluation.comparison", "comparison.html.j2", _context(comparison, split)
    )
    path.write_text(page, encoding="utf-8")


def _context(comparison: Comparison, split: SplitFile | None) -> dict[str, Any]:
    first = comparison.contenders[0]
    most = max(_LEAST_PICTURES, _MOST_PICTURES // (len(comparison.contenders) - 1))
    pairs = zip(comparison.contenders[1:], comparison.against, strict=True)
    return {
        "comparison": comparison,
        "info": first.predictions.info,
        "images": len(first.predictions),
        "first": first.name,
        "names": [contender.name for contender in comparison.contenders],
        "verdicts": wording.verdicts(comparison),
        "tests": wording.tests_text(comparison),
        "metrics": list(comparison.standings[0].figures),
        "ranges": {name: _ranges(comparison, name) for name in comparison.standings[0].figures},
        "sections": [_section(first, other, against, split, most) for other, against in pairs],
        "with_pictures": split is not None,
        "wide": split is not None and first.predictions.info.task not in OF_WHOLE_IMAGES,
        "most_ids": _MOST_IDS,
        "costs": wording.COSTS,
        "say": wording,
    }


def _section(
    first: Contender, other: Contender, against: Against, split: SplitFile | None, most: int
) -> _Section:
    changes = against.changes
    became = ("wrong", "right") if changes.flips else ("worse", "better")
    tables = ((first.name, first.predictions), (other.name, other.predictions))
    lists = [
        (
            f"Became {word}: {len(items)}" if changes.flips else f"Became {word}",
            show_changes(items[:most], *tables, split),
            [item.id for item in items],
        )
        for word, items in zip(became, (changes.worse, changes.better), strict=True)
    ]
    return _Section(other.name, against, lists, wording.leading_figure(against.classes))


def _ranges(comparison: Comparison, metric: str) -> list[dict[str, float] | None]:
    """Return where the interval of each model's difference lies, in percent of a plot's width.

    Zero lies in the middle, and the widest interval of the metric fills a half.
    """
    differences = [standing.differences.get(metric) for standing in comparison.standings]
    reach = max((_reach(item) for item in differences), default=0.0)
    return [_range(item, reach) for item in differences]


def _reach(difference: Difference | None) -> float:
    if difference is None or difference.low is None or difference.high is None:
        return 0.0
    return max(abs(difference.low), abs(difference.high), abs(difference.value or 0.0))


def _range(difference: Difference | None, reach: float) -> dict[str, float] | None:
    if difference is None or not reach or not _reach(difference):
        return None
    ends: Sequence[float | None] = (difference.low, difference.high, difference.value)
    low, high, value = (50 + _HALF * (end or 0.0) / reach for end in ends)
    return {"low": low, "width": high - low, "value": value}
