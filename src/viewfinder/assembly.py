"""The parts of an experiment, built from its resolved config."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError
from viewfinder.instantiation import build_augmentations, build_group, cannot_build
from viewfinder.models.state_dicts import check_fit, read_state_dict
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.schedule import Schedule
from viewfinder.training.options import TrainingOptions
from viewfinder.training.phases import Phase, check_phase
from viewfinder.weights_file import CHECKPOINT, weights_file

if TYPE_CHECKING:
    from pytorch_lightning import Trainer
    from torch import nn
    from torch.optim import Optimizer


def task_class(config: DictConfig) -> type[VisionTask]:
    """Return the class of the experiment's task.

    Raises:
        ViewfinderError: If there is none of this name, or it is no task.
    """
    path = str(config.task._target_)
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise ViewfinderError(cannot_build("task", config.task, error)) from error
    if not isinstance(found, type) or not issubclass(found, VisionTask):
        reason = "it is no class of viewfinder.tasks.VisionTask"
        raise ViewfinderError(cannot_build("task", config.task, reason))
    return found


def build_datamodule(
    config: DictConfig, splits: Sequence[Split], project: Path
) -> VisionDataModule:
    """Open the splits of the experiment's data set.

    Args:
        config: The resolved config.
        splits: The splits to open.
        project: The checkout that holds the split files.
    """
    size = config.image.get("test_size") if "test" in splits else None
    height, width = size or config.image.size
    return VisionDataModule(
        dataset=config.dataset.name,
        view=task_class(config).view(),
        size=(height, width),
        interpolation=config.image.interpolation,
        channels=config.image.channels,
        augmentations=build_augmentations(config),
        batch_size=config.loader.batch_size,
        num_workers=config.loader.num_workers,
        worker_type=config.loader.get("worker_type", "auto"),
        balanced=config.loader.balanced,
        cache=config.loader.cache,
        seed=config.seed,
        splits=splits,
        project=project,
    )


def build_task(config: DictConfig, classes: Sequence[str]) -> VisionTask:
    """Build the experiment's network and its task.

    Args:
        config: The resolved config.
        classes: Class names.
    """
    network = _network(config, len(classes))
    options = OmegaConf.to_container(config.task, resolve=True)
    assert isinstance(options, dict)
    given = {str(key): value for key, value in options.items() if key not in ("name", "_target_")}
    try:
        return task_class(config)(
            network,
            classes,
            mean=list(config.image.mean),
            std=list(config.image.std),
            optimizer=_optimizer(config.optimizer),
            schedule=_schedule(config.scheduler),
            **given,
        )
    except TypeError as error:
        raise ViewfinderError(cannot_build("task", config.task, error)) from error


def _network(config: DictConfig, num_classes: int) -> "nn.Module":
    """Build the network; a training's checkpoint holds all of it, not only what it starts from."""
    file = weights_file(config.model.get("weights"))
    if file is None or file.suffix != CHECKPOINT:
        started = {} if file is None else {"weights": str(file)}
        built: nn.Module = build_group(config.model, "model", num_classes=num_classes, **started)
        return built
    node = config.model.copy()
    OmegaConf.set_struct(node, False)
    del node["weights"]
    built = build_group(node, "model", num_classes=num_classes)
    state = read_state_dict(file)
    check_fit(state, built.state_dict(), source=str(file), network=type(built).__name__)
    built.load_state_dict(state)
    return built


def build_training_options(config: DictConfig) -> TrainingOptions:
    """Read what the experiment's training does besides Lightning's own options.

    Args:
        config: The resolved config.

    Raises:
        ViewfinderError: If an option is unknown or out of its range.
    """
    phases = config.training.get("phases") or []
    options: Any = OmegaConf.to_container(config.training, resolve=True)
    options["phases"] = [_phase(config, number, phase) for number, phase in enumerate(phases, 1)]
    try:
        return TrainingOptions(**options)
    except TypeError as error:
        raise ViewfinderError(cannot_build("training", config.training, error)) from error


def _phase(config: DictConfig, number: int, given: DictConfig) -> Phase:
    check_phase(number, given)
    freeze = given.get("freeze") or ()
    return Phase(
        optimizer=_optimizer(option_of_phase(config.optimizer, given, "optimizer")),
        schedule=_schedule(option_of_phase(config.scheduler, given, "scheduler")),
        freeze=freeze if isinstance(freeze, str) else list(freeze),
        epochs=given.get("epochs"),
    )


def option_of_phase(base: Any, given: DictConfig, key: str) -> Any:
    """Return a group of the config as a phase has it: its own, or with single options changed.

    Args:
        base: The experiment's own group.
        given: The phase.
        key: Name of the group in the phase: ``optimizer`` or ``scheduler``.
    """
    if key not in given:
        return base
    own = given[key]
    if own is None or "_target_" in own or base is None:
        return own
    return OmegaConf.merge(base, own)


def build_trainer(config: DictConfig) -> "Callable[..., Trainer]":
    """Return what makes the experiment's trainer from callbacks, logger and the rest.

    It raises ``ViewfinderError`` for options that Lightning refuses.
    """
    made = build_group(config.trainer, "trainer", _partial_=True)
    return _refusing(made, "trainer", config.trainer)


def _optimizer(node: Any) -> "Callable[..., Optimizer]":
    return _refusing(build_group(node, "optimizer"), "optimizer", node)


def _schedule(node: Any) -> Schedule | None:
    if node is None:
        return None
    made = build_group(node, "scheduler")
    if not isinstance(made, Schedule):
        reason = f"it is no {Schedule.__module__}.Schedule"
        raise ViewfinderError(cannot_build("scheduler", node, reason))
    return replace(made, factory=_refusing(made.factory, "scheduler", node))


def _refusing(make: Any, group: str, node: Any) -> Callable[..., Any]:
    """Return a function that makes a part later on, and then says what is wrong as now."""
    if not callable(make):
        raise ViewfinderError(cannot_build(group, node, "`_partial_: true` is missing"))

    def made(*arguments: Any, **options: Any) -> Any:
        try:
            return make(*arguments, **options)
        except Exception as error:  # of whatever class the user chose
            raise ViewfinderError(cannot_build(group, node, error)) from error

    return made
