"""The file of weights that a training starts from, known by its content."""

import hashlib
import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from viewfinder.errors import ViewfinderError
from viewfinder.weights_file import weights_file

FOLDER = "weights"
_KEY = "weights_sha256"


def check_watched(config: DictConfig) -> None:
    """Refuse a file of weights whose change DVC would not notice.

    Raises:
        ViewfinderError: If it lies elsewhere than in the project's folder for them.
    """
    given = config.model.get("weights")
    if weights_file(given) is None:
        return
    # An absolute path would be another config, and so another training, on each machine.
    inside = Path(os.path.normpath(given)).parts
    if inside[0] != FOLDER or len(inside) < 2:
        raise ViewfinderError(
            f"model.weights is {given}; expected a path in {FOLDER}/, the folder of the project "
            "that DVC watches: elsewhere it would not notice that the file changed, nor another "
            f"machine find it. Put the file there and write {FOLDER}/{Path(given).name}."
        )


def pin_weights(config: DictConfig) -> None:
    """Write the SHA-256 of the file that ``model.weights`` names into a config; null without one.

    Raises:
        ViewfinderError: If the file is missing, or not the one whose checksum the config holds.
    """
    given = config.model.get("weights")
    path = weights_file(given)
    if path is not None and not path.is_file():
        raise ViewfinderError(
            f"There is no file of weights {path}. Put it there (`dvc pull` brings what others "
            f"shared), or correct model.weights ({given})."
        )
    found = None
    if path is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = config.get(_KEY)
    if expected is not None and expected != found:
        content = f"has the SHA-256 {found}" if found else "is no file"
        raise ViewfinderError(
            f"{_KEY} is {expected}, but model.weights ({given}) {content}. If the weights were "
            "meant to change, run `dvc repro`, or set it to null; else bring the file back."
        )
    OmegaConf.update(config, _KEY, found, force_add=True)
