"""The files of a config: ``params.yaml``, a data set's, and a composed experiment's."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from viewfinder.errors import ViewfinderError, did_you_mean

CONFIG_NAME = "config"
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
            f"Known data sets: {', '.join(known)}.{did_you_mean(name, known)}"
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
