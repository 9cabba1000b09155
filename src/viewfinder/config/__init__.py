"""Composes ``conf/`` with an experiment's section of ``params.yaml``, and checks the outcome."""

from viewfinder.config.checks import check
from viewfinder.config.composition import (
    augmentation_options,
    compose_augmentation,
    compose_config,
    compose_experiment,
)
from viewfinder.config.explanation import explain
from viewfinder.config.files import CONFIG_NAME, load_composed, load_dataset, to_yaml
from viewfinder.config.section import section_overrides
from viewfinder.config.training import TRAINING_KEYS, training_config
from viewfinder.config.weights import pin_weights

__all__ = [
    "CONFIG_NAME",
    "TRAINING_KEYS",
    "augmentation_options",
    "check",
    "compose_augmentation",
    "compose_config",
    "compose_experiment",
    "explain",
    "load_composed",
    "load_dataset",
    "pin_weights",
    "section_overrides",
    "to_yaml",
    "training_config",
]
