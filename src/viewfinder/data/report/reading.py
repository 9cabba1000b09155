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
        ViewfinderError: If the data set was not split yet, or the file is damaged.
    """
    path = project / report_path(dataset, "json")
    if not path.is_file():
        raise ViewfinderError(f"{path} does not exist. {how_to_split(dataset)}")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ViewfinderError(
            f"{path} is damaged: {error}. Run `dvc repro --force split@{dataset}`."
        ) from error
    if not (isinstance(report, dict) and report.get("dataset") == dataset):
        raise ViewfinderError(
            f"{path} is no report on {dataset}. Run `dvc repro --force split@{dataset}`."
        )
    return report
