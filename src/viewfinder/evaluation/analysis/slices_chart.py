"""A picture of a metric over slices."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from viewfinder.drawing.palette import FAINT, INK, RIGHT, WRONG
from viewfinder.drawing.text import shorten
from viewfinder.evaluation.analysis.slice_figures import SliceFigure

_ROW_INCHES = 0.3
_LONGEST_NAME = 40


def draw_slices(path: Path, found: Sequence[SliceFigure]) -> None:
    """Draw the value and interval of each slice as a row, against that of all images.

    A slice whose interval lies below the value of all images is drawn in another colour.

    Args:
        path: The PNG file to write.
        found: The figures of all images and, behind them, of slices.
    """
    metrics = list(dict.fromkeys(item.metric for item in found))
    slices = [item for item in found if item.kind != "all"]
    rows = _positions([item for item in slices if item.metric == metrics[0]])
    height = _ROW_INCHES * (max(rows.values()) + 1) + 1.2
    figure = Figure(figsize=(4.2 + 3.6 * len(metrics), height), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        whole = next(item for item in found if item.metric == metric and item.kind == "all")
        _draw_metric(axes, rows, [item for item in slices if item.metric == metric], whole)
    _name_rows(panels[0], rows, found)
    figure.savefig(path, format="png")


def _positions(slices: Sequence[SliceFigure]) -> dict[tuple[str, str], float]:
    """Return where each slice stands, from above; a kind begins below a gap for its heading."""
    positions: dict[tuple[str, str], float] = {}
    row, kind = 0, None
    for item in slices:
        if item.kind != kind:
            row, kind = row + 1, item.kind
        positions[item.kind, item.name] = row
        row += 1
    return {key: float(value) for key, value in positions.items()}


def _draw_metric(
    axes: Axes,
    rows: dict[tuple[str, str], float],
    slices: Sequence[SliceFigure],
    whole: SliceFigure,
) -> None:
    level = whole.figure.value
    if level is not None:
        axes.axvline(level, color=FAINT, linewidth=1, linestyle="--")
    for item in slices:
        row, value = rows[item.kind, item.name], item.figure.value
        if value is None:
            axes.text(
                0.02,
                row,
                item.figure.reason or "not defined",
                color=FAINT,
                fontsize=8,
                va="center",
                transform=axes.get_yaxis_transform(),
            )
            continue
        low, high = item.figure.low, item.figure.high
        weak = level is not None and high is not None and high < level
        colour = WRONG if weak else RIGHT
        if low is not None and high is not None:
            axes.hlines(row, low, high, color=colour, linewidth=3, alpha=0.45)
        axes.plot(value, row, "o", color=colour, markersize=6)
    title = _title(whole)
    axes.set_title(title, color=INK, fontsize=11)
    axes.set_ylim(max(rows.values()) + 0.7, -0.6)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _title(whole: SliceFigure) -> str:
    """Name a metric with its value over all images."""
    value = whole.figure.value
    return whole.metric if value is None else f"{whole.metric}, over all images {value:.3f}"


def _name_rows(
    axes: Axes, rows: dict[tuple[str, str], float], found: Sequence[SliceFigure]
) -> None:
    """Name slices and, of those that do not take part of all images, the number of images."""
    images = {(item.kind, item.name): item.images for item in found}
    total = found[0].images
    names: list[str] = []
    places: list[float] = []
    last = ""
    for (kind, name), row in rows.items():
        if kind != last:
            names.append(f"by {kind}")
            places.append(row - 1)
            last = kind
        count = images[kind, name]
        text = shorten(name, _LONGEST_NAME, keep_end=True)
        names.append(text if count == total else f"{text} · {count:,} images")
        places.append(row)
    axes.set_yticks(places, names, fontsize=9)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
        if label.get_text().startswith("by "):
            label.set_fontweight("bold")
            label.set_color(INK)
