"""The mistakes of a detector, as a table and a picture."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from viewfinder.drawing.palette import INK, WRONG
from viewfinder.evaluation.measures.error_types import ErrorCost, ErrorType
from viewfinder.tables import write_table

_MEANINGS: dict[ErrorType, str] = {
    "class": "right place, wrong class",
    "box": "right class, poor place",
    "both": "poor place, wrong class",
    "duplicate": "found once more",
    "background": "nothing is there",
    "missed": "not found at all",
}
_DECIMALS = 5


def write_errors(path: Path, costs: Mapping[ErrorType, ErrorCost]) -> None:
    """Write a row for each kind of mistake: how often, and what it costs of AP at IoU 0.5."""
    write_table(
        path,
        ["error", "meaning", "count", "lost_ap_50"],
        (
            [kind, _MEANINGS[kind], found.count, round(found.cost, _DECIMALS)]
            for kind, found in costs.items()
        ),
    )


def draw_errors(path: Path, costs: Mapping[ErrorType, ErrorCost]) -> None:
    """Draw what each kind of mistake costs.

    Args:
        path: The PNG file to write.
        costs: What ``error_costs`` returned.
    """
    figure = Figure(figsize=(7.4, 3.8), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    names = [f"{kind}: {_MEANINGS[kind]}" for kind in costs]
    bars = axes.barh(names, [100 * found.cost for found in costs.values()], color=WRONG, height=0.6)
    axes.bar_label(bars, [f"{found.count:,} times" for found in costs.values()], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.set_xlabel("AP at IoU 0.5 that would be gained, percent points")
    axes.set_title("What each kind of mistake costs", color=INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")
