"""What a report says of a model besides its figures."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from viewfinder import tracking
from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.page import Facts
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.stages.trained import Trained
from viewfinder.tasks import VisionTask

_TIMED = 10
_TAGS = {
    "mlflow.source.git.commit": "commit",
    "git.dirty": "changed since the commit",
    "config.hash": "config",
    "version.torch": "torch",
    "version.viewfinder": "viewfinder",
}


def collect_facts(model: Trained, predictions: PredictionsFile, name: str, reports: Path) -> Facts:
    """Return what the report on an experiment says besides its figures.

    Args:
        model: The trained model.
        predictions: Its predictions.
        name: The experiment.
        reports: Its folder, with ``train.json`` of the training stage.
    """
    tags = tracking.lineage_tags(config=model.settings)
    lineage = {title: tags[key] for key, title in _TAGS.items() if key in tags}
    lineage["test split, SHA-256"] = predictions.info.digest
    if model.run_id is not None:
        lineage["MLflow run"] = model.run_id
    return Facts(
        name=name,
        task=model.task.name,
        dataset=predictions.info.dataset,
        images=len(predictions),
        groups=int(predictions.groups().max()) + 1,
        model=_model_facts(model, reports),
        lineage=lineage,
        command=f"dvc repro evaluate@{name}",
    )


def _model_facts(model: Trained, reports: Path) -> dict[str, str]:
    config, network = model.config, model.task.model
    parameters = sum(parameter.numel() for parameter in network.parameters())
    height, width = model.data.transform.size
    facts = {
        "network": _network(config),
        "parameters": f"{parameters:,} ({4 * parameters / 1e6:.1f} MB in float32)",
        "input": f"{height} x {width} pixels, {config.image.channels} channels",
        "one image": f"{_latency(model.task, model.data.images('test', [0])):.1f} ms, "
        f"{model.task.device.type}, {torch.get_num_threads()} threads",
        "optimizer": f"{str(config.optimizer._target_).rpartition('.')[2]}, "
        f"rate {config.optimizer.lr:g}, batches of {config.loader.batch_size}",
    }
    return facts | _training(reports / "train.json")


def _network(config: DictConfig) -> str:
    """Name a network by its class and the backbone that it stands on."""
    options: dict[str, Any] = dict(config.model)
    parts = ("name", "architecture", "backbone", "encoder")
    named = [str(options[part]) for part in parts if options.get(part)]
    kind = str(config.model._target_).rpartition(".")[2]
    return f"{kind} ({', '.join(named)})" if named else kind


def _training(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    told: dict[str, Any] = json.loads(path.read_text())
    best = told.get("best_epoch")
    note = "" if best is None else f", the best is epoch {best}"
    return {"epochs": f"{told['epochs']}{note}"}


def _latency(task: VisionTask, batch: Batch) -> float:
    """Return the median time of predicting for one image, in milliseconds."""
    images = batch["image"]
    task.predict(images)
    seconds = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        task.predict(images)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)
