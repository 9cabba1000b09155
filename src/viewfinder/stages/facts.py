"""What a report says of a model besides its figures."""

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from viewfinder import tracking
from viewfinder.assembly import option_of_phase
from viewfinder.data.loading.dataset import Batch
from viewfinder.evaluation.page import Facts
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.stages.trained import Trained
from viewfinder.tasks import VisionTask

_TIMED = 10
_TAGS = {"config.hash": "config", "version.torch": "torch", "version.viewfinder": "viewfinder"}
_SPLITS = {"train": "training", "val": "validation"}


def collect_facts(model: Trained, predictions: PredictionsFile, name: str, reports: Path) -> Facts:
    """Return what the report on an experiment says besides its figures.

    Args:
        model: The trained model.
        predictions: Its predictions.
        name: The experiment.
        reports: Its folder, with ``train.json`` of the training stage.
    """
    return Facts(
        name=name,
        task=model.task.name,
        dataset=predictions.info.dataset,
        images=len(predictions),
        groups=int(predictions.groups().max()) + 1,
        model=_model_facts(model, reports),
        lineage=_lineage(model, predictions.info.digest),
        command=f"dvc repro evaluate@{name}",
    )


def _lineage(model: Trained, test_split: str) -> dict[str, str]:
    """Return what training and evaluation started from."""
    now = tracking.lineage_tags(config=model.settings)
    then, splits = (model.lineage.get(part, {}) for part in ("tags", "digests"))
    commits = {"commit of the training": _commit(then), "commit of the evaluation": _commit(now)}
    digests = {_SPLITS[name]: digest for name, digest in splits.items()} | {"test": test_split}
    lineage = {title: commit for title, commit in commits.items() if commit is not None}
    lineage |= {title: now[key] for key, title in _TAGS.items() if key in now}
    lineage |= {f"{name} split, SHA-256": digest for name, digest in digests.items()}
    return lineage if model.run_id is None else lineage | {"MLflow run": model.run_id}


def _commit(tags: Mapping[str, str]) -> str | None:
    commit = tags.get("mlflow.source.git.commit")
    return f"{commit}, with changes" if tags.get("git.dirty") == "true" else commit


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
    }
    return facts | _training(config, reports / "train.json")


def _network(config: DictConfig) -> str:
    """Name a network by its class and the backbone that it stands on."""
    options: dict[str, Any] = dict(config.model)
    parts = ("name", "architecture", "backbone", "encoder")
    named = [str(options[part]) for part in parts if options.get(part)]
    kind = str(config.model._target_).rpartition(".")[2]
    return f"{kind} ({', '.join(named)})" if named else kind


def _training(config: DictConfig, path: Path) -> dict[str, str]:
    told: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    batch = told.get("loader_batch_size", config.loader.batch_size)
    facts = {"optimizer": f"{_optimizers(config, told)}, batches of {batch}"}
    if "epochs" in told:
        best = told.get("best_epoch")
        note = "" if best is None else f", the best is epoch {best}"
        facts["epochs"] = f"{told['epochs']}{note}"
    return facts


def _optimizers(config: DictConfig, told: Mapping[str, Any]) -> str:
    """Name the optimizer and its rate, of a training in phases those of each phase."""
    phases = OmegaConf.select(config, "training.phases")
    if not phases:
        return _optimizer(config.optimizer, told.get("optimizer_lr"))
    return ", then ".join(
        _optimizer(option_of_phase(config.optimizer, phase, "optimizer")) + _phase(phase)
        for phase in phases
    )


def _optimizer(options: DictConfig, found: float | None = None) -> str:
    """Name an optimizer and its rate: the one found before the training, else the config's."""
    rate = options.get("lr") if found is None else found
    name = str(options._target_).rpartition(".")[2]
    return name if rate is None else f"{name}, rate {rate:g}"


def _phase(phase: DictConfig) -> str:
    epochs, frozen = phase.get("epochs"), phase.get("freeze")
    if frozen and not isinstance(frozen, str):
        frozen = ", ".join(frozen)
    notes = [f"{epochs} epochs"] if epochs else []
    notes += [f"frozen: {frozen}"] if frozen else []
    return f" ({'; '.join(notes)})" if notes else ""


def _latency(task: VisionTask, batch: Batch) -> float:
    """Return the median time of predicting for one image, in milliseconds."""
    images = batch["image"]
    seconds = []
    for _ in range(1 + _TIMED):
        start = time.perf_counter()
        task.predict(images)
        if task.device.type == "cuda":
            torch.cuda.synchronize(task.device)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[1:])  # the first one warms up
