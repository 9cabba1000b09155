"""What a composed config must hold before anything is built from it."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from viewfinder.config.files import load_dataset
from viewfinder.errors import ViewfinderError

CHANNELS = (1, 3)
INTERPOLATIONS = ("linear", "cubic", "area")
LARGEST_SEED = 2**32 - 1
# Sections that every config has; the options of those in BUILT go to the class or function that
# `_target_` names.
BUILT = ("task", "model", "optimizer", "trainer")
SECTIONS = (*BUILT, "dataset", "image", "loader", "training", "predict", "export")
CACHES = ("none", "ram")
WORKER_TYPES = ("auto", "thread", "process")
_NAME = r"[A-Za-z][A-Za-z0-9_-]*"


def check(config: DictConfig, project: Path) -> None:
    """Refuse a composed config that can't be trained.

    Raises:
        ViewfinderError: Naming the key, what it holds and what was expected.
    """
    check_name(config.get("name"))
    _check_sections(config)
    missing = OmegaConf.missing_keys(config)
    if missing:
        raise ViewfinderError(f"The config has no value for {', '.join(sorted(missing))}.")
    for key, smallest, largest in (
        ("seed", 0, LARGEST_SEED),
        ("loader.batch_size", 1, None),
        ("trainer.max_epochs", 1, None),
    ):
        value = OmegaConf.select(config, key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < smallest or (largest is not None and value > largest):
            span = f"of {smallest} or more" if largest is None else f"from {smallest} to {largest}"
            raise ViewfinderError(f"{key} is {value!r}; expected an integer {span}.")
    workers = config.loader.num_workers
    if workers != "auto" and (not isinstance(workers, int) or workers is True or workers < 0):
        raise ViewfinderError(
            f"loader.num_workers is {workers!r}; expected an integer of 0 or more, or auto."
        )
    for key, choices in (
        ("image.interpolation", INTERPOLATIONS),
        ("loader.cache", CACHES),
        ("loader.worker_type", WORKER_TYPES),
    ):
        value = OmegaConf.select(config, key)
        if value not in choices:
            raise ViewfinderError(f"{key} is {value!r}; expected {', '.join(choices)}.")
    _check_size("size", config.image.size)
    if config.image.test_size is not None:
        _check_size("test_size", config.image.test_size)
    _check_channels(config.image)
    if config.dataset != load_dataset(config.dataset.name, project):
        raise ViewfinderError(
            f"The data set {config.dataset.name!r} can't be changed by an experiment, since others "
            f"share its split files. Edit conf/dataset/{config.dataset.name}.yaml, or copy it "
            "under a new name."
        )


def _check_size(key: str, size: object) -> None:
    if (
        not isinstance(size, ListConfig)
        or len(size) != 2
        or not all(isinstance(side, int) and side > 0 for side in size)
    ):
        raise ViewfinderError(f"image.{key} is {size}; expected [height, width] in pixels.")


def _check_sections(config: DictConfig) -> None:
    for key in SECTIONS:
        section = config.get(key)
        if not isinstance(section, DictConfig):
            raise ViewfinderError(
                f"{key} is {section!r}; expected a mapping of options, as in conf/."
            )
        if key in BUILT and not isinstance(section.get("_target_"), str):
            raise ViewfinderError(f"{key} has no `_target_`, which names what is built from it.")


def _check_channels(image: DictConfig) -> None:
    if image.channels not in CHANNELS:
        raise ViewfinderError(
            f"image.channels is {image.channels!r}; expected 1 (grey) or 3 (red, green, blue)."
        )
    for key in ("mean", "std"):
        values = image[key]
        numbers = isinstance(values, ListConfig) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        )
        if not numbers or len(values) != image.channels:
            raise ViewfinderError(
                f"image.{key} is {values}; expected a list of {image.channels} "
                f"number{'s' if image.channels > 1 else ''}, one for each of image.channels."
            )
    if any(value <= 0 for value in image.std):
        raise ViewfinderError(f"image.std is {image.std}; expected numbers above 0.")


def check_name(name: Any) -> None:
    """Refuse an experiment's name that can't name files, runs and models."""
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise ViewfinderError(
            f"The experiment's name {name!r} can't name files, runs and models. Take a letter, "
            "then letters, digits, `-` and `_`."
        )


def check_portable(config: DictConfig) -> None:
    """Refuse what would bake this machine, this moment or a secret into the composed file."""
    found = re.search(r"\$\{(oc\.env|now|hydra)[^}]*\}", OmegaConf.to_yaml(config))
    if found:
        raise ViewfinderError(
            f"The config holds {found.group()}, which is another value on each machine or at each "
            "time, so no run could be made again. Write the value itself."
        )
