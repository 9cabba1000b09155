"""Stages and the code that they depend on."""

from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# What these do is not seen in any output, or reaches the stages by way of configs/.
# The archive package notes checksums beside what was fetched; a change of it must not fetch again.
# Of what a training draws, epoch by epoch, only the tracking run keeps anything.
UNSEEN = {"download": {"archive", "schema"}, "train": {"drawing", "evaluation"}}
NEUTRAL = {
    "cli",
    "config",
    "errors",
    "outputs",
    "process",
    "progress",
    "tracking",
    "weights_file",
    "workspace",
}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("viewfinder", cache_dir=None)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_again_after_a_change_of_any_code_it_uses(
    stage: str, imports: grimp.ImportGraph
) -> None:
    entry = f"viewfinder.stages.{stage}"
    used = {entry, *imports.find_upstream_modules(entry)}
    files = [path for path in map(_file, used) if Path(path.parts[2]).stem not in NEUTRAL]
    watched = [Path(item) for item in STAGES[stage]["do"]["deps"] if item.startswith("src/")]
    unwatched = [
        str(path)
        for path in files
        if path.name != "__init__.py"
        and not any(path.is_relative_to(item) for item in watched)
        and not any(Path(part).stem in UNSEEN.get(stage, ()) for part in path.parts)
    ]
    assert unwatched == []


def _file(module: str) -> Path:
    """Return a module's file, relative to the repository; its third part is its package."""
    path = Path("src", *module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")
