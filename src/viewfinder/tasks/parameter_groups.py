"""Learning rates that differ between the parts of a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from viewfinder.tasks.parts import Part

SCALE = "lr_scale"


@dataclass(frozen=True)
class ParameterGroups:
    """What share of the optimizer's learning rate each trainable parameter learns at.

    Attributes:
        rates: Share by name or pattern, see ``Part``; the first that fits counts, everything else
            learns at the whole rate.
        layer_decay: Share of the rate from one layer to the one before it; None for no decay.
            The layers are those of timm. Source: H. Bao et al., BEiT, ICLR 2022, appendix.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    layer_decay: float | None = None

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return one group for each share, from the smallest up; frozen parameters are left out.

        Raises:
            ViewfinderError: If a pattern fits nothing.
        """
        parts = [(Part(network, pattern), rate) for pattern, rate in self.rates.items()]
        depths = self._by_depth(network)
        groups: dict[float, list[Tensor]] = {}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                rate = next((rate for part, rate in parts if part.holds(name)), 1.0)
                scale = rate * depths.get(parameter, 1.0)
                groups.setdefault(scale, []).append(parameter)
        return [{"params": groups[scale], SCALE: scale} for scale in sorted(groups)]

    def _by_depth(self, network: nn.Module) -> dict[Tensor, float]:
        if self.layer_decay is None:
            return {}
        from timm.optim import param_groups_layer_decay

        groups = param_groups_layer_decay(network, layer_decay=self.layer_decay)
        return {parameter: group[SCALE] for group in groups for parameter in group["params"]}


def scale_rates(optimizer: Optimizer) -> None:
    """Multiply the rate of each of the optimizer's groups by its share."""
    for group in optimizer.param_groups:
        group["lr"] *= group[SCALE]
