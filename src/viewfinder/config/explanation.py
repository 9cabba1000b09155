"""Errors of Hydra in words that name the options there are."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from viewfinder.config.files import CONFIG_NAME
from viewfinder.errors import did_you_mean


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
        f"{did_you_mean(leaf, known)} (To add an option that a class accepts, write +{key}=…)"
    )
