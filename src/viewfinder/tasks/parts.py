"""Parts of a network, named by prefix or pattern."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from viewfinder.errors import ViewfinderError

HEAD = "head"
ALL_BUT_HEAD = "all but the head"
_HEADS = ("head", "heads", "fc", "classifier", "class_head", "box_head", "segmentation_head")
_MOST_NAMED = 30


class Part:
    """A selection of a network's layers and tensors.

    Args:
        network: The network.
        patterns: Names of layers or parameters, or patterns such as ``blocks.*``; each stands for
            all below it. ``head`` is the part that depends on the task, ``all but the head``
            everything else.

    Raises:
        ViewfinderError: If a pattern fits nothing.
    """

    def __init__(self, network: nn.Module, patterns: str | Sequence[str]) -> None:
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        self._head: list[str] = []
        if {HEAD, ALL_BUT_HEAD} & set(self._patterns):
            self._head = head_of(network)
        names = [name for name, _ in network.named_parameters()]
        for pattern in self._patterns:
            if not any(self._fits(name, pattern) for name in names):
                raise ViewfinderError(_unknown(network, pattern))

    def holds(self, name: str) -> bool:
        """Return whether the layer or tensor of this name belongs to the part."""
        return any(self._fits(name, pattern) for pattern in self._patterns)

    def _fits(self, name: str, pattern: str) -> bool:
        if pattern == HEAD:
            return _below(name, self._head)
        if pattern == ALL_BUT_HEAD:
            above = any(head == name or head.startswith(f"{name}.") for head in self._head)
            return bool(name) and not above and not _below(name, self._head)
        pattern = pattern.removeprefix("model.")
        return any(fnmatchcase(prefix, pattern) for prefix in _prefixes(name))


def head_of(network: nn.Module) -> list[str]:
    """Return the names of the layers that depend on the task.

    They are what timm names as the classifier, else the uppermost layers with a usual name.

    Raises:
        ViewfinderError: If there are none.
    """
    named = getattr(network, "pretrained_cfg", None) or {}
    classifier = named.get("classifier")
    layers = {name for name, _ in network.named_modules()}
    if classifier:
        wanted = [classifier] if isinstance(classifier, str) else list(classifier)
        found = [name for name in wanted if name in layers]
        if found:
            return found
    heads = [name for name in layers if name.rpartition(".")[2] in _HEADS]
    if not heads:
        raise ViewfinderError(
            f"The network {type(network).__name__} has no layer that is known for a head "
            f"({', '.join(_HEADS)}). Name the layers to freeze instead; it has "
            f"{_names(network)}."
        )
    depth = min(name.count(".") for name in heads)
    return sorted(name for name in heads if name.count(".") == depth)


def _prefixes(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _below(name: str, layers: Sequence[str]) -> bool:
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)


def _names(network: nn.Module) -> str:
    """List the uppermost layers with parameters, one level deeper where there is only one."""
    with_parameters = [name for name, _ in network.named_parameters()]
    for depth in range(1, 4):
        names = list(dict.fromkeys(".".join(name.split(".")[:depth]) for name in with_parameters))
        if len(names) > 2:
            break
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _unknown(network: nn.Module, pattern: str) -> str:
    return (
        f"The network {type(network).__name__} has nothing called {pattern!r}. It has "
        f"{_names(network)}; patterns such as {_names(network).split(',')[0].split('.')[0]}.* and "
        f"the words {HEAD!r} and {ALL_BUT_HEAD!r} work too."
    )
