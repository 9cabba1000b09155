"""The part of a config that a training depends on."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

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
    "weights_sha256",
)


def training_config(config: DictConfig) -> dict[str, Any]:
    """Return the part of a resolved config that a training depends on, by dotted key."""
    selected = {key: OmegaConf.select(config, key) for key in TRAINING_KEYS}
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in selected.items()
    }
