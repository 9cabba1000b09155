"""What each layer of a network gives, recorded while it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from timm.layers import Format
from torch import Tensor, nn

Layout = Literal["maps", "channels_last", "tokens"]

_OF_MAPS = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass
class LayerOutput:
    """What one layer gave.

    Attributes:
        name: Its name in the network.
        module: The layer.
        outputs: One tensor for each time that it ran.
        layout: How feature maps lie in the outputs; None where they hold none.
        tokens: Height and width of the grid of tokens, and how many tokens stand before it.
        is_new: Whether it made its output itself: False for a container that passes on what a
            layer inside gave.
    """

    name: str
    module: nn.Module
    outputs: list[Tensor] = field(default_factory=list)
    layout: Layout | None = None
    tokens: tuple[int, int, int] = (1, 1, 0)
    is_new: bool = True

    @property
    def kind(self) -> str:
        """Its class."""
        return type(self.module).__name__

    @property
    def is_leaf(self) -> bool:
        """Whether no layer is inside it."""
        return next(self.module.children(), None) is None

    def as_maps(self, values: Tensor) -> Tensor:
        """Return values laid out as the layer's output as feature maps [B, C, h, w]."""
        if self.layout == "tokens":
            height, width, before = self.tokens
            return torch.unflatten(values[:, before:].mT, 2, (height, width))
        return values.permute(0, 3, 1, 2) if self.layout == "channels_last" else values


def record(
    network: nn.Module, run: Callable[[], object], *, copies: bool = False
) -> list[LayerOutput]:
    """Run a network and keep what its layers give.

    Args:
        network: The network.
        run: Runs it.
        copies: Whether to keep copies without gradients; otherwise a later layer that works in
            place changes what was kept.

    Returns:
        The layers that gave a tensor, in the order in which they first ended.
    """
    found: dict[str, LayerOutput] = {}
    alive: list[Tensor] = []  # an id names a tensor as long as it lives
    layouts: dict[int, Layout | None] = {}
    grids = tuple(_token_grids(network))
    by_default: Layout = "channels_last" if _is_channels_last(network) else "maps"

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        known = id(output) in layouts
        entry = found.setdefault(name, LayerOutput(name, module, is_new=not known))
        given = layouts.get(id(inputs[0])) if inputs and isinstance(inputs[0], Tensor) else None
        if not known or entry.is_leaf:
            layouts[id(output)] = _layout(module, output, given, by_default, grids)
        entry.layout = layouts[id(output)]
        if entry.layout == "tokens":
            entry.tokens = next(grid for grid in grids if _fits(grid, output))
        alive.append(output)
        entry.outputs.append(output.detach().clone() if copies else output)

    with _hooks(network, keep):
        run()
    return list(found.values())


@contextmanager
def _hooks(network: nn.Module, keep: Callable[[str, nn.Module, Any, Any], None]) -> Iterator[None]:
    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: keep(name, module, inputs, output)

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in network.named_modules()
        if module is not network
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layout(
    module: nn.Module,
    output: Tensor,
    given: Layout | None,
    by_default: Layout,
    grids: Sequence[tuple[int, int, int]],
) -> Layout | None:
    if output.ndim == 3:
        return "tokens" if any(_fits(grid, output) for grid in grids) else None
    if output.ndim != 4:
        return None
    layout = by_default
    if isinstance(module, _OF_MAPS):
        layout = "maps"
    elif isinstance(module, nn.Linear) or type(module) is nn.LayerNorm:
        layout = "channels_last"
    elif given in ("maps", "channels_last") and not any(True for _ in module.parameters()):
        layout = given
    sides = output.shape[1:3] if layout == "channels_last" else output.shape[2:]
    return layout if max(sides) > 1 else None


def _fits(grid: tuple[int, int, int], output: Tensor) -> bool:
    height, width, before = grid
    return output.shape[1] == height * width + before


def _token_grids(network: nn.Module) -> Iterator[tuple[int, int, int]]:
    """Yield the grids of patches of timm's transformers, and the tokens before them."""
    modules = list(network.modules())
    before = max(int(getattr(module, "num_prefix_tokens", 0)) for module in modules)
    for module in modules:
        size = getattr(module, "grid_size", None)
        if isinstance(size, tuple) and len(size) == 2:
            yield (int(size[0]), int(size[1]), before)


def _is_channels_last(network: nn.Module) -> bool:
    formats = [getattr(module, "output_fmt", None) for module in network.modules()]
    return any(value in (Format.NHWC, "NHWC") for value in formats)


def evaluating(network: nn.Module) -> torch.device:
    """Bring a network to evaluation mode; return where it lies."""
    network.eval()
    return next(network.parameters()).device
