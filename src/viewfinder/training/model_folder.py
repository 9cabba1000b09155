"""A trained model on disk: its weights, and the config and classes to rebuild it from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from viewfinder.errors import ViewfinderError
from viewfinder.training.checkpoints import save

_WEIGHTS = "weights.pt"
_DESCRIPTION = "model.json"


def write_model(
    folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write a model.

    Args:
        folder: An existing folder.
        weights: The task's state.
        description: Its config, class names and tracking run; values for JSON.
    """
    save(dict(weights), folder / _WEIGHTS)
    (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def read_description(folder: Path) -> dict[str, Any]:
    """Read what ``write_model`` was told of a model.

    Raises:
        ViewfinderError: If the folder holds no model.
    """
    path = folder / _DESCRIPTION
    if not path.is_file():
        raise ViewfinderError(
            f"{folder} holds no trained model ({_DESCRIPTION} is missing). "
            f"Run `dvc repro train@{folder.name}`."
        )
    description: dict[str, Any] = json.loads(path.read_text())
    return description


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a model, onto the CPU.

    Raises:
        ViewfinderError: If they are missing or damaged.
    """
    path = folder / _WEIGHTS
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise ViewfinderError(
            f"The weights {path} can't be read: {error}. "
            f"Run `dvc repro --force train@{folder.name}`."
        ) from error
    return weights
