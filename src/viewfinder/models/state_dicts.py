"""State dicts of networks: read from files, and compared with what a network expects."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from timm.models import clean_state_dict
from torch import Tensor

from viewfinder.errors import ViewfinderError
from viewfinder.weights_file import SUFFIXES

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_OWN_PREFIX = "model."
_COUNTER = "num_batches_tracked"
_MOST_NAMED = 3

StateDict = dict[str, Tensor]


def read_state_dict(path: Path) -> StateDict:
    """Read a network's tensors by name, onto the CPU.

    Checkpoints that hold a state dict among other things are opened, and the prefixes of
    distributed and compiled training, and of this project's own models, are taken off.

    Raises:
        ViewfinderError: If the file is missing, of another kind, or holds no tensors by name.
    """
    if path.suffix not in SUFFIXES:
        raise ViewfinderError(
            f"The weights are given as {path}; expected `hub`, `package` or a file with a state "
            f"dict: {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise ViewfinderError(f"There is no file of weights {path}. Correct model.weights.")
    try:
        content = _read(path)
    except Exception as error:  # each format's reader has its own errors, pickle any
        raise ViewfinderError(
            f"The weights {path} can't be read: {error}. Expected a state dict, saved with "
            "torch.save(network.state_dict(), …), safetensors or numpy.savez."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise ViewfinderError(f"The weights {path} hold no mapping of names to tensors.")
    state: StateDict = clean_state_dict(dict(content))
    # This project's models hold, beside the network, what validation found: names without a dot.
    network = {name: value for name, value in state.items() if "." in name}
    if network and all(name.startswith(_OWN_PREFIX) for name in network):
        state = {name.removeprefix(_OWN_PREFIX): value for name, value in network.items()}
    return state


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return torch.load(path, map_location="cpu", weights_only=True)


def check_fit(
    state: StateDict,
    expected: Mapping[str, Tensor],
    *,
    source: str,
    network: str,
    free: Collection[str] = (),
) -> None:
    """Refuse tensors that a network has not or has in another shape.

    Counters of batch normalisations that are missing are added as zeros.

    Args:
        state: The tensors that were read.
        expected: The network's own; only their names and shapes count.
        source: Where ``state`` came from, for messages.
        network: What the network is called, for messages.
        free: Names that may be missing or have any shape.

    Raises:
        ViewfinderError: Naming the first tensor that does not fit, with both shapes.
    """
    missing = [name for name in expected if name not in state and name not in free]
    for name in [name for name in missing if name.endswith(_COUNTER)]:
        state[name] = torch.zeros((), dtype=torch.int64)
        missing.remove(name)
    unknown = [name for name in state if name not in expected and name not in free]
    start = f"{source} does not fit {network}"
    for name in (name for name in expected if name in state and name not in free):
        if state[name].shape != expected[name].shape:
            raise ViewfinderError(
                f"{start}: its tensor {name!r} has the shape {_shape(state[name])}, the network's "
                f"{_shape(expected[name])}. Give the weights of this very network."
            )
    if missing or unknown:
        raise ViewfinderError(
            f"{start}: {_list('it lacks', missing, expected)}"
            f"{'; ' if missing and unknown else ''}"
            f"{_list('the network lacks', unknown, state)}. "
            "Give the weights of this very network."
        )


def _list(start: str, names: list[str], tensors: Mapping[str, Tensor]) -> str:
    if not names:
        return ""
    shown = ", ".join(f"{name!r} {_shape(tensors[name])}" for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{start} {shown}{more}"


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))
