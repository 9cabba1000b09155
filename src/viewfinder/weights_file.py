"""The file of weights that a network starts from, if it starts from one; imports nothing heavy."""

from pathlib import Path

from viewfinder.workspace import find

CHECKPOINT = ".ckpt"  # of a training: of the whole network
SUFFIXES = (".pt", ".pth", ".safetensors", ".npz", CHECKPOINT)


def weights_file(weights: object) -> Path | None:
    """Return the file that a model's option ``weights`` names, or None if it names none.

    Args:
        weights: A file, from the project's folder if relative; or a word such as ``hub``.
    """
    if not isinstance(weights, str) or not weights.endswith(SUFFIXES):
        return None
    return find(Path(weights).expanduser())
