"""What a training leaves: the model's folder, its figures, and what the tracking run says."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from viewfinder.outputs import new_file, new_folder
from viewfinder.workspace import project_dir

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback

    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.data.schema import Split
    from viewfinder.tasks.base import VisionTask
    from viewfinder.tracking.protocol import Run
    from viewfinder.training.fit import FitResult

FIGURES, HISTORY = "train.json", "curves.csv"

_PICTURED = 6
_ROLES: dict[Split, str] = {"train": "training", "val": "validation"}


def log_inputs(
    run: Run,
    config: DictConfig,
    settings: dict[str, Any],
    data: VisionDataModule,
    digests: dict[Split, str],
) -> None:
    """Log the config, the packages and the data that the training starts from."""
    from viewfinder import tracking
    from viewfinder.data.schema import report_path

    project = project_dir()
    run.log_params(settings)
    run.log_text(OmegaConf.to_yaml(config, resolve=True), "config.yaml")
    run.log_text(tracking.environment(), "environment.txt")
    for split, file in data.splits.items():
        run.log_input(
            config.dataset.name, file.path.relative_to(project), digests[split], _ROLES[split]
        )
    page = project / report_path(config.dataset.name)
    if page.is_file():
        run.log_artifact(page, "data")


def write_outputs(
    model: Path, report: Path, result: FitResult, task: VisionTask, description: dict[str, Any]
) -> None:
    """Write the model and the training's figures."""
    from viewfinder.training.fit import describe
    from viewfinder.training.model_folder import write_model

    with new_folder(model) as folder:
        write_model(folder, result.weights, description)
    with new_file(report / FIGURES) as path:
        path.write_text(json.dumps(describe(result, task), indent=2) + "\n")
    with new_file(report / HISTORY) as path:
        _write_rows(path, result.history)


def epoch_pictures(run: Run, data: VisionDataModule) -> Callback:
    """Return what shows the same validation images epoch by epoch in the tracking run."""
    from viewfinder.evaluation.epoch_pictures import EpochPictures
    from viewfinder.evaluation.selection import even_positions

    rows = even_positions(len(data.splits["val"]), _PICTURED)
    return EpochPictures(
        data.images("val", rows),
        lambda picture, number, epoch: run.log_image(picture, f"val/image_{number}", epoch),
    )


def data_paths(config: DictConfig) -> dict[str, str]:
    """Return where the data that a training uses lies, by what they are, from the checkout."""
    from viewfinder.data.schema import raw_path, split_path

    name = config.dataset.name
    return {"archive": str(raw_path(name)), "splits": str(split_path(name, "train").parent)}


def _write_rows(path: Path, rows: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, fieldnames=list(dict.fromkeys(k for row in rows for k in row))
        )
        writer.writeheader()
        writer.writerows(rows)
