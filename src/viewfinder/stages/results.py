"""``viewfinder results``: the test metrics of all experiments, side by side."""

import json

from rich.console import Console
from rich.table import Table

from viewfinder.workspace import project_dir

_MOST_METRICS = 4


def main() -> None:
    """Print what ``evaluate`` wrote, and where to look further."""
    reports = sorted((project_dir() / "reports").glob("*/metrics.json"))
    console = Console(highlight=False)
    if not reports:
        console.print("Nothing was evaluated yet. Run `dvc repro`.")
        return
    table = Table(title="Test metrics", title_justify="left")
    table.add_column("experiment")
    table.add_column("metrics")
    for path in reports:
        metrics: dict[str, float] = json.loads(path.read_text())
        shown = list(metrics.items())[:_MOST_METRICS]
        table.add_row(path.parent.name, "  ".join(f"{name} {value:.4f}" for name, value in shown))
    console.print(table)
    console.print("Pictures and tables: reports/<experiment>/   ONNX models: exports/<experiment>/")
    console.print("Compare runs: `make ui`, then open http://127.0.0.1:5000")
