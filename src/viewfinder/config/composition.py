"""``conf/`` and an experiment's section of ``params.yaml``, composed into one config."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from viewfinder.config.checks import check, check_name, check_portable
from viewfinder.config.explanation import explain
from viewfinder.config.files import CONFIG_NAME, read_params
from viewfinder.config.section import quote, section_overrides
from viewfinder.config.weights import check_watched
from viewfinder.errors import ViewfinderError, did_you_mean


def compose_experiment(name: str, project: Path) -> DictConfig:
    """Compose the config of one experiment of ``params.yaml``, resolved.

    Raises:
        ViewfinderError: If there is no such experiment, or its section does not fit ``conf/``.
    """
    experiments = read_params(project)["experiments"]
    check_name(name)
    if name not in experiments:
        raise ViewfinderError(
            f"params.yaml has no experiment {name!r}; it has {', '.join(map(str, experiments))}."
            f"{did_you_mean(name, [str(known) for known in experiments])}"
        )
    section = experiments[name]
    if not isinstance(section, dict) or not isinstance(section.get("dataset"), str):
        raise ViewfinderError(
            f"The experiment {name!r} in params.yaml must be a mapping with `dataset: <name>`."
        )
    config = compose_config([*section_overrides(section), f"name={quote(name)}"], project)
    check_portable(config)
    check(config, project)
    check_watched(config)
    OmegaConf.resolve(config)
    return config


def compose_config(overrides: Sequence[str], project: Path) -> DictConfig:
    """Compose ``conf/`` with Hydra overrides.

    Raises:
        ViewfinderError: If an override names a group, an option or a key that does not exist.
    """
    try:
        with initialize_config_dir(str(project / "conf"), version_base="1.3"):
            return compose(CONFIG_NAME, list(overrides))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ViewfinderError(explain(error, overrides, project)) from error


def augmentation_options(project: Path) -> list[str]:
    """Return the names of the options of ``conf/augment/``."""
    files = (path for path in (project / "conf" / "augment").glob("*.yaml") if path.is_file())
    return sorted(path.stem for path in files if not path.name.startswith("."))


def compose_augmentation(option: str, size: tuple[int, int], project: Path) -> DictConfig:
    """Compose an option of ``conf/augment/`` by itself.

    Args:
        option: Its name.
        size: Height and width of the model's input, pixels, which an option may name.
        project: The checkout.

    Returns:
        The option as ``augment``, and the size as ``image.size``, resolved.

    Raises:
        ViewfinderError: If there is none of this name, or it can't be composed.
    """
    path = project / "conf" / "augment" / f"{option}.yaml"
    if not path.is_file():
        known = ", ".join(augmentation_options(project))
        raise ViewfinderError(
            f"There is no augmentation {option!r}: {path} does not exist. There are {known}."
        )
    try:
        with initialize_config_dir(str(project / "conf"), version_base="1.3"):
            composed = compose(f"augment/{option}")
    except RecursionError as error:
        raise ViewfinderError(f"{path} can't be composed: its defaults name itself.") from error
    except (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        # Behind an empty line Hydra lists where it looked.
        reason = str(error).partition("\n\n")[0] or str(error.__cause__)
        raise ViewfinderError(f"{path} can't be composed: {reason}") from error
    image = {"image": {"size": list(size)}, "augment": {}}
    config = cast(DictConfig, OmegaConf.merge(image, composed))
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise ViewfinderError(
            f"{path} can't be shown by itself: {str(error).splitlines()[0]}. Outside of an "
            "experiment an option can name image.size alone."
        ) from error
    return config
