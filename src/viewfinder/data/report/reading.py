"""The report on a data set, as the split stage wrote it."""

import json
from pathlib import Path
from typing import Any

from viewfinder.data.schema import how_to_split, report_path
from viewfinder.errors import ViewfinderError


def read_report(dataset: str, project: Path) -> dict[str, Any]:
    """Return what ``data/splits/<dataset>/report.json`` holds.

    Args:
        dataset: Name of the data set.
        project: The checkout.

    Raises:
        ViewfinderError: If the data set was not split yet.
    """
    path = project / report_path(dataset, "json")
    if not path.is_file():
        raise ViewfinderError(f"{path} does not exist. {how_to_split(dataset)}")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
