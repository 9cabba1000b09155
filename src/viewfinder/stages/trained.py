"""A trained model with the test data that it is judged on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from viewfinder.assembly import build_datamodule, build_task
from viewfinder.config import training_config
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.models.state_dicts import check_fit
from viewfinder.tasks.base import VisionTask
from viewfinder.training.model_folder import read_description, read_weights


@dataclass(frozen=True)
class Trained:
    """A trained model, ready to predict.

    Attributes:
        task: The task with its trained network, in evaluation mode.
        data: The data set's test split.
        config: The config that it was trained with.
        settings: The part of the config that the training depended on.
        run_id: The tracking run of its training.
        lineage: What its training started from: ``tags``, as its tracking run has them, and the
            ``digests`` of its splits. Models of earlier versions lack it.
    """

    task: VisionTask
    data: VisionDataModule
    config: DictConfig
    settings: dict[str, Any]
    run_id: str | None
    lineage: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def load_task(folder: Path) -> tuple[VisionTask, DictConfig]:
    """Load a trained model without its data.

    Returns:
        The task with its trained network, in evaluation mode, and the config of its training.

    Raises:
        ViewfinderError: If there is no model, or its weights are of another network.
    """
    description = read_description(folder)
    config = OmegaConf.create(description["config"])
    assert isinstance(config, DictConfig)
    untrained = config.copy()
    untrained.model.pop("weights", None)  # the trained ones follow
    task = build_task(untrained, description["classes"])
    own = task.state_dict()
    # Models of earlier versions lack what validation finds; they decide as they did then.
    weights = {name: own[name] for name in task.measured} | read_weights(folder)
    network = f"the network {type(task.model).__name__} of its config"
    check_fit(weights, own, source=f"The model {folder}", network=network)
    task.load_state_dict(weights)
    task.eval()
    return task, config


def open_trained(folder: Path, project: Path) -> Trained:
    """Open a model and the test split of the data set that it was trained on.

    Raises:
        ViewfinderError: If there is no model, or the data set's classes changed since.
    """
    task, config = load_task(folder)
    data = build_datamodule(config, ("test",), project)
    if data.classes != task.classes:
        raise ViewfinderError(
            f"The model {folder} knows the classes {task.classes}, but the data set "
            f"{config.dataset.name!r} now has {data.classes}. "
            f"Run `dvc repro train@{folder.name}`."
        )
    told = read_description(folder)
    lineage = told.get("lineage", {})
    return Trained(task, data, config, training_config(config), told["run_id"], lineage)
