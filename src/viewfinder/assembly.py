"""The parts of an experiment, built from its resolved config."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.schema import SPLITS, Split
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.training.options import TrainingOptions
from viewfinder.training.phases import Phase, check_phase


def task_class(config: DictConfig) -> type[VisionTask]:
    """Return the class of the experiment's task."""
    found: type[VisionTask] = get_class(config.task._target_)
    return found


def build_datamodule(
    config: DictConfig, splits: Sequence[Split] = SPLITS, project: Path = Path()
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
        augmentations=_instantiate(config.augment, "augment"),
        batch_size=config.loader.batch_size,
        num_workers=config.loader.num_workers,
        balanced=config.loader.balanced,
        cache=config.loader.cache,
        seed=config.seed,
        splits=splits,
        project=project,
    )


def load_augmentations(option: str, size: tuple[int, int], project: Path) -> dict[str, Any]:
    """Build the transforms of an option of ``conf/augment/``.

    Args:
        option: Its name.
        size: Height and width of the model's input, pixels, which an option may name.
        project: The checkout.

    Raises:
        ViewfinderError: If there is none of this name, or it can't be built.
    """
    folder = project / "conf" / "augment"
    path = folder / f"{option}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in folder.glob("*.yaml")))
        raise ViewfinderError(
            f"There is no augmentation {option!r}: {path} does not exist. There are {known}."
        )
    config = OmegaConf.create({"image": {"size": list(size)}, "augment": OmegaConf.load(path)})
    built: dict[str, Any] = _instantiate(config.augment, "augment")
    return built


def build_task(config: DictConfig, classes: Sequence[str]) -> VisionTask:
    """Build the experiment's network and its task.

    Args:
        config: The resolved config.
        classes: Class names.
    """
    network = _instantiate(config.model, "model", num_classes=len(classes))
    options = OmegaConf.to_container(config.task, resolve=True)
    assert isinstance(options, dict)
    given = {str(key): value for key, value in options.items() if key not in ("name", "_target_")}
    try:
        return task_class(config)(
            network,
            classes,
            mean=list(config.image.mean),
            std=list(config.image.std),
            optimizer=_instantiate(config.optimizer, "optimizer"),
            schedule=_instantiate(config.scheduler, "scheduler"),
            **given,
        )
    except TypeError as error:
        raise ViewfinderError(_cannot_build("task", config.task, error)) from error


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
        raise ViewfinderError(_cannot_build("training", config.training, error)) from error


def _phase(config: DictConfig, number: int, given: DictConfig) -> Phase:
    check_phase(number, given)
    freeze = given.get("freeze") or ()
    return Phase(
        optimizer=_instantiate(_changed(config.optimizer, given, "optimizer"), "optimizer"),
        schedule=_instantiate(_changed(config.scheduler, given, "scheduler"), "scheduler"),
        freeze=freeze if isinstance(freeze, str) else list(freeze),
        epochs=given.get("epochs"),
    )


def _changed(base: Any, given: DictConfig, key: str) -> Any:
    """Return a group of the config as a phase has it: its own, or with single options changed."""
    if key not in given:
        return base
    own = given[key]
    if own is None or "_target_" in own or base is None:
        return own
    return OmegaConf.merge(base, own)


def _instantiate(node: Any, group: str, **options: Any) -> Any:
    """Build one group of the config; a wrong option is the user's mistake, not a bug."""
    if node is None:
        return None
    try:
        return instantiate(node, _convert_="all", **options)
    except InstantiationException as error:
        if isinstance(error.__cause__, ViewfinderError):
            raise error.__cause__ from error
        raise ViewfinderError(_cannot_build(group, node, error.__cause__ or error)) from error


def _cannot_build(group: str, node: Any, reason: BaseException) -> str:
    return (
        f"The config group {group!r} ({node.get('_target_', 'no _target_')}) can't be built: "
        f"{reason}. Correct its options in conf/{group}/ or in the overrides."
    )
