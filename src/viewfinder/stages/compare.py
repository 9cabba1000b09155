"""``viewfinder compare A B …``: is one model better than another, where, and at what cost?"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.process import importing
from viewfinder.workspace import project_dir

_LEAST = 2
_LONGEST_NAME = 200  # bytes; file systems take 255


def main(models: Sequence[str], output: str | None = None, as_json: bool = False) -> None:
    """Print how models compare with the first of them, and write a page.

    Args:
        models: Experiments, revisions of experiments, or MLflow run ids.
        output: The page to write; None for one in ``reports/comparisons/``.
        as_json: Whether to print a document for machines instead of tables.

    Raises:
        ViewfinderError: If a model is not found, or they can't be compared.
    """
    if len(models) < _LEAST:
        raise ViewfinderError(
            f"compare was given {len(models)} model; expected 2 or more, the baseline first, such "
            "as `viewfinder compare HEAD~1:classification classification`."
        )
    from viewfinder.stages.contenders import find_contenders, open_contenders

    project = project_dir()
    with TemporaryDirectory() as folder:
        found = find_contenders(models, project, Path(folder))
        with importing():
            from viewfinder.evaluation.comparison.comparing import as_document, compare
            from viewfinder.evaluation.comparison.page import write_page
            from viewfinder.evaluation.comparison.pictures import open_pictures
            from viewfinder.stages.comparison_tables import print_comparison

        contenders = open_contenders(found)
        comparison = compare(contenders)
        names = [contender.name for contender in contenders]
        path = Path(output) if output else project / "reports" / "comparisons" / _file_name(names)
        with new_file(path) as file:
            write_page(file, comparison, open_pictures(project, contenders[0].predictions))
        if as_json:
            document = as_document(comparison) | {"page": str(path)}
            print(json.dumps(document, indent=2, allow_nan=False))
        else:
            print_comparison(comparison)
            print(f"With pictures: {_shown(path, project)}")


def _file_name(names: Sequence[str]) -> str:
    """Return the page's name; of names that are too long for one, their beginning and a hash."""
    whole = "_vs_".join(re.sub(r"[^\w.=-]+", "-", name).strip("-") for name in names)
    if len(whole.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        kept = whole.encode()[:_LONGEST_NAME].decode(errors="ignore")
        whole = f"{kept}-{digest}"
    return f"{whole}.html"


def _shown(path: Path, project: Path) -> Path:
    return path.relative_to(project) if path.is_relative_to(project) else path
