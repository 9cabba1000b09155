"""Where a model came from: commit, config, data and packages, as MLflow tags."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from viewfinder import workspace

PACKAGES = (
    "viewfinder",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "timm",
    "segmentation-models-pytorch",
    "torchmetrics",
    "albumentations",
    "onnx",
    "onnxruntime",
    "numpy",
    "mlflow",
)


def lineage_tags(
    *,
    config: Mapping[str, Any] | None = None,
    data: Mapping[str, str | Path] = {},
) -> dict[str, str]:
    """Collect the tags that say what a run was made from; what cannot be known is left out.

    Args:
        config: The resolved config; its hash becomes ``config.hash``.
        data: DVC-tracked files or folders by a short name, e.g.
            ``{"split": "data/splits/digits"}``; the hash in ``dvc.lock`` becomes ``dvc.<name>``.

    Returns:
        Tag names and values.
    """
    tags = _git_tags() | _version_tags() | _source_tags()
    if config is not None:
        tags["config.hash"] = config_hash(config)
    hashes = {name: dvc_hash(path) for name, path in data.items()}
    tags |= {f"dvc.{name}": value for name, value in hashes.items() if value is not None}
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["dvc.exp_name"] = experiment
    return tags


def environment() -> str:
    """Return the installed packages as ``name==version``, one a line."""
    found = {(item.name.lower(), item.version) for item in metadata.distributions()}
    return "".join(f"{name}=={number}\n" for name, number in sorted(found))


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the first 16 hex digits of the SHA-256 of the config, whatever its key order."""
    canonical = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def dvc_hash(path: str | Path) -> str | None:
    """Look up the hash that ``dvc.lock`` holds for a file or folder.

    Args:
        path: As written in ``dvc.yaml``, or any path inside the checkout.

    Returns:
        The MD5 (with ``.dir`` for a folder), or None where the lock or the entry is missing.
    """
    project = workspace.project_dir()
    try:
        text = (project / "dvc.lock").read_text(encoding="utf-8")
    except OSError:
        return None
    wanted = Path(os.path.relpath(project / path, project)).as_posix()
    return _locked_hashes(text).get(wanted)


def _locked_hashes(text: str) -> dict[str, str]:
    import yaml

    stages: dict[str, dict[str, Any]] = (yaml.safe_load(text) or {}).get("stages", {})
    hashes: dict[str, str] = {}
    # An output is what lies there now; a dependency is what a stage saw when it last ran.
    for kind in ("deps", "outs"):
        for stage in stages.values():
            for entry in stage.get(kind, ()):
                if "md5" in entry:
                    hashes[entry["path"]] = entry["md5"]
    return hashes


def _git_tags() -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    # dvc.lock changes while the pipeline runs: it is a product, not an edit.
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
    return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ("git", *arguments),
            cwd=workspace.project_dir(),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _version_tags() -> dict[str, str]:
    versions = {"version.python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _source_tags() -> dict[str, str]:
    tags = {"mlflow.source.name": "viewfinder", "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # a container's user id may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags
