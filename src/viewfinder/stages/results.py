"""``viewfinder results``: the test metrics of all experiments, side by side."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from viewfinder.evaluation.figures import line
from viewfinder.workspace import project_dir

_MOST_METRICS = 4


def main() -> None:
    """Print what ``evaluate`` wrote, and where to look further."""
    reports = sorted((project_dir() / "reports").glob("*/metrics.json"))
    console = Console(highlight=False)
    if not reports:
        console.print("Nothing was evaluated yet. Run `dvc repro`.")
        return
    table = Table(title="Test metrics, with 95 % intervals", title_justify="left")
    table.add_column("experiment")
    table.add_column("metrics")
    for path in reports:
        metrics: dict[str, dict[str, Any]] = json.loads(path.read_text())
        headline = {name: figure for name, figure in metrics.items() if "low" in figure} or metrics
        shown = [line(name, figure) for name, figure in list(headline.items())[:_MOST_METRICS]]
        table.add_row(path.parent.name, "\n".join(shown))
    console.print(table)
    console.print("Pictures and tables: reports/<experiment>/   ONNX models: exports/<experiment>/")
    console.print("Compare runs: `make ui`, then open http://127.0.0.1:5000")
