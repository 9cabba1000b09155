"""Composes ``conf/`` with an experiment's section of ``params.yaml``, and checks the outcome."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from viewfinder.errors import ViewfinderError

CONFIG_NAME = "config"
CHANNELS = (1, 3)
_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
INTERPOLATIONS = ("linear", "cubic", "area")
LARGEST_SEED = 2**32 - 1
# Sections that every config has; the options of those in BUILT go to the class or function that
# `_target_` names.
BUILT = ("task", "model", "optimizer", "trainer")
SECTIONS = (*BUILT, "dataset", "image", "loader", "training", "predict", "export")
CACHES = ("none", "ram")
TRAINING_KEYS = (
    "name",
    "seed",
    "dataset.name",
    "task",
    "model",
    "image",
    "augment",
    "loader",
    "optimizer",
    "scheduler",
    "trainer",
    "training",
)
_COMPOSED_HEADER = """\
# Made by `viewfinder configure` from conf/ and params.yaml; changes here are lost.
defaults:
  - _self_
  - hydra: stage

"""


def read_params(project: Path) -> dict[str, Any]:
    """Return ``params.yaml`` as plain Python values.

    Raises:
        ViewfinderError: If it is not valid YAML or has no experiments.
    """
    path = project / "params.yaml"
    try:
        params = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise ViewfinderError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(params, dict) or not isinstance(params.get("experiments"), dict):
        raise ViewfinderError(f"{path} has no mapping `experiments:`.")
    return {str(key): value for key, value in params.items()}


def compose_experiment(name: str, project: Path) -> DictConfig:
    """Compose the config of one experiment of ``params.yaml``, resolved.

    Raises:
        ViewfinderError: If there is no such experiment, or its section does not fit ``conf/``.
    """
    experiments = read_params(project)["experiments"]
    _check_name(name)
    if name not in experiments:
        raise ViewfinderError(
            f"params.yaml has no experiment {name!r}; it has {', '.join(map(str, experiments))}."
            f"{_suggest(name, [str(known) for known in experiments])}"
        )
    section = experiments[name]
    if not isinstance(section, dict) or not isinstance(section.get("dataset"), str):
        raise ViewfinderError(
            f"The experiment {name!r} in params.yaml must be a mapping with `dataset: <name>`."
        )
    config = compose_config([*section_overrides(section), f"name={_quote(name)}"], project)
    _check_portable(config)
    check(config, project)
    OmegaConf.resolve(config)
    return config


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise ViewfinderError(
            f"The experiment's name {name!r} can't name files, runs and models. Take a letter, "
            "then letters, digits, `-` and `_`."
        )


def _check_portable(config: DictConfig) -> None:
    """Refuse what would bake this machine, this moment or a secret into the composed file."""
    found = re.search(r"\$\{(oc\.env|now|hydra)[^}]*\}", OmegaConf.to_yaml(config))
    if found:
        raise ViewfinderError(
            f"The config holds {found.group()}, which is another value on each machine or at each "
            "time, so no run could be made again. Write the value itself."
        )


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


def section_overrides(section: Mapping[str, Any]) -> list[str]:
    """Turn a section of ``params.yaml`` into Hydra overrides.

    ``{model: fpn, trainer: {max_epochs: 8}}`` becomes ``model=fpn trainer.max_epochs=8``. The
    list under ``overrides`` is taken as it is, and ``experiment`` names a recipe to start from.
    """
    overrides: list[str] = []
    for key, value in section.items():
        if key == "overrides":
            overrides += _listed(value)
        elif key == "experiment":
            overrides.append(f"+experiment={value}")
        elif isinstance(value, Mapping):
            overrides += [f"{path}={_quote(leaf)}" for path, leaf in _leaves(value, key)]
        else:
            overrides.append(f"{key}={value if isinstance(value, str) else _quote(value)}")
    return overrides


def _listed(overrides: Any) -> list[str]:
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        raise ViewfinderError(
            f"`overrides` in params.yaml is {overrides!r}; expected a list of Hydra overrides, "
            "such as [optimizer.lr=1e-3, augment=none]."
        )
    return overrides


def _leaves(node: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in node.items():
        inner = f"{path}.{key}"
        leaves += _leaves(value, inner) if isinstance(value, Mapping) else [(inner, value)]
    return leaves


def _quote(value: Any) -> str:
    """Write a value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_quote(item)}' for key, item in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(_quote(item) for item in value)}]"
    return str(value)


def to_yaml(config: DictConfig) -> str:
    """Return a composed config as the file that the later stages read."""
    return _COMPOSED_HEADER + OmegaConf.to_yaml(config)


def load_composed(name: str, project: Path) -> DictConfig:
    """Read the composed config of an experiment.

    Raises:
        ViewfinderError: If it was not composed yet.
    """
    path = project / "configs" / f"{name}.yaml"
    if not path.is_file():
        raise ViewfinderError(f"{path} does not exist. Run `dvc repro configure@{name}`.")
    config = OmegaConf.load(path)
    assert isinstance(config, DictConfig)
    del config["defaults"]
    return config


def load_dataset(name: str, project: Path) -> DictConfig:
    """Read the config of a data set.

    Raises:
        ViewfinderError: If there is none of this name, or it is not valid YAML.
    """
    folder = project / "conf" / "dataset"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(option.stem for option in folder.glob("*.yaml"))
        raise ViewfinderError(
            f"There is no data set {name!r}: {path} does not exist. "
            f"Known data sets: {', '.join(known)}.{_suggest(name, known)}"
        )
    try:
        config = OmegaConf.load(path)
    except Exception as error:
        raise ViewfinderError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(config, DictConfig):
        raise ViewfinderError(
            f"{path} is no mapping; expected `name`, `source`, `reader`, `split`."
        )
    return config


def training_config(config: DictConfig) -> dict[str, Any]:
    """Return the part of a resolved config that a training depends on, by dotted key."""
    selected = {key: OmegaConf.select(config, key) for key in TRAINING_KEYS}
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in selected.items()
    }


def check(config: DictConfig, project: Path) -> None:
    """Refuse a composed config that can't be trained.

    Raises:
        ViewfinderError: Naming the key, what it holds and what was expected.
    """
    _check_name(config.get("name"))
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
    for key, choices in (("image.interpolation", INTERPOLATIONS), ("loader.cache", CACHES)):
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


def explain(error: Exception, overrides: Sequence[str], project: Path) -> str:
    """Put an error of Hydra into words that name the options there are."""
    message = str(error).strip()
    if "Config group override must be a string or a list" in message:
        groups = [path.name for path in (project / "conf").iterdir() if path.is_dir()]
        wrong = [item for item in overrides if item.partition("=")[0] in groups]
        emptied = [item for item in wrong if item.endswith("=null")] or wrong
        said = " ".join(
            f"{item} names no option of a group. Choose an option of conf/{item.partition('=')[0]}."
            for item in emptied
        )
        return said or message
    match = re.search(r"Could not override '([^']+)'", message)
    if match is None:
        return message
    key = match.group(1)
    if key == "experiment":
        return "A recipe is added to the config, with a plus: `+experiment=NAME`."
    parent, _, leaf = key.rpartition(".")
    groups = [item for item in overrides if "." not in item.split("=")[0] and "," not in item]
    try:
        with initialize_config_dir(str(project / "conf"), version_base="1.3"):
            base = compose(CONFIG_NAME, [item for item in groups if not item.startswith(f"{key}=")])
        node = OmegaConf.select(base, parent) if parent else base
        known = sorted(str(name) for name in node) if isinstance(node, DictConfig) else []
    except (HydraException, OmegaConfBaseException):
        known = []
    if not known:
        return message
    return (
        f"There is no option {key!r}. {parent or 'The config'} has: {', '.join(known)}."
        f"{_suggest(leaf, known)} (To add an option that a class accepts, write +{key}=…)"
    )


def _suggest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
