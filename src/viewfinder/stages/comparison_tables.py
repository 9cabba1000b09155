"""A comparison in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from viewfinder.evaluation.comparison.changes import Change
from viewfinder.evaluation.comparison.comparing import Against, Comparison
from viewfinder.evaluation.comparison.wording import (
    COSTS,
    cost_text,
    difference_text,
    discordance_text,
    figure_text,
    leading_figure,
    most_changed,
    p_text,
    tests_text,
    verdicts,
)

_MOST_IMAGES, _MOST_CLASSES = 10, 10


def print_comparison(comparison: Comparison) -> None:
    """Print metrics, changed images, changed classes and costs."""
    console = Console(highlight=False)
    console.print(_metrics(comparison))
    console.print(tests_text(comparison), markup=False)
    for line in verdicts(comparison):
        console.print(line, markup=False, style="bold")
    for note in comparison.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    for contender, against in zip(comparison.contenders[1:], comparison.against, strict=True):
        console.print(_images(contender.name, against))
        console.print(_classes(contender.name, against))
    console.print(_costs(comparison))


def _metrics(comparison: Comparison) -> Table:
    names = [contender.name for contender in comparison.contenders]
    table = Table(title="Test metrics, with 95 % intervals", title_justify="left")
    table.add_column("", overflow="fold")
    table.add_column("value")
    table.add_column(Text(f"minus {names[0]}"))
    table.add_column("p")
    for metric in comparison.standings[0].figures:
        table.add_section()
        table.add_row(Text(metric, "bold"))
        for name, standing in zip(names, comparison.standings, strict=True):
            figure, difference = standing.figures[metric], standing.differences.get(metric)
            style = "bold" if difference and difference.significant else ""
            table.add_row(
                Text(f"  {name}"),
                Text(figure_text(figure)),
                Text(difference_text(difference) if difference else "", style),
                Text(p_text(difference.p) if difference else "", style),
            )
    _add_discordances(table, comparison)
    return table


def _add_discordances(table: Table, comparison: Comparison) -> None:
    pairs = zip(comparison.contenders, comparison.standings, strict=True)
    found = [(one.name, standing.discordance) for one, standing in pairs if standing.discordance]
    if found:
        table.add_section()
        table.add_row(Text("right or wrong (McNemar)", "bold"))
    for name, item in found:
        style = "bold" if item.significant else ""
        table.add_row(
            Text(f"  {name}"), "", Text(discordance_text(item), style), Text(p_text(item.p), style)
        )


def _images(name: str, against: Against) -> Table:
    changes = against.changes
    heads = ("became wrong", "became right") if changes.flips else ("worse", "better")
    title = f"Images that changed under {name}"
    table = Table(title=Text(title), title_justify="left", min_width=len(title))
    for head, items in zip(heads, (changes.worse, changes.better), strict=True):
        table.add_column(f"{head}: {len(items)}" if changes.flips else head, overflow="fold")
    table.add_row(_ids(changes.worse), _ids(changes.better))
    return table


def _ids(changes: Sequence[Change]) -> Text:
    lines = [f"{item.id}  {item.before:.3f} → {item.after:.3f}" for item in changes[:_MOST_IMAGES]]
    more = len(changes) - _MOST_IMAGES
    return Text("\n".join([*lines, f"and {more} more"] if more > 0 else lines))


def _classes(name: str, against: Against) -> Table:
    figure = leading_figure(against.classes)
    changed = most_changed(against.classes, figure)
    title = f"Classes that changed under {name}, most first"
    table = Table(title=Text(title), title_justify="left", min_width=len(title))
    table.add_column("class", overflow="fold")
    for head in ("count", figure, "change"):
        table.add_column(head, justify="right")
    for item in changed[:_MOST_CLASSES]:
        before, after, change = (part[figure] for part in (item.before, item.after, item.change))
        table.add_row(
            Text(item.name), f"{item.count:,}", f"{before:.4f} → {after:.4f}", f"{change:+.4f}"
        )
    if not changed:
        table.add_row("none changed")
    if len(changed) > _MOST_CLASSES:
        table.add_row(f"and {len(changed) - _MOST_CLASSES} more")
    return table


def _costs(comparison: Comparison) -> Table:
    table = Table(title="Cost", title_justify="left")
    table.add_column("")
    for contender in comparison.contenders:
        table.add_column(Text(contender.name), justify="right", overflow="fold")
    for name, label in COSTS.items():
        table.add_row(label, *(cost_text(one.cost[name]) for one in comparison.contenders))
    return table
