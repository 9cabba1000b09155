"""A metric as it is kept and printed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_DECIMALS = 5


@dataclass(frozen=True)
class Figure:
    """A metric.

    Attributes:
        value: None if it is not defined on these images.
        low: Lower end of the 95 % interval, where there is one.
        high: Its upper end.
        reason: Why there is no value, or no interval where there should be one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def as_values(metrics: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Return metrics as they stand in ``metrics.json``: rounded, and without what there is not."""
    return {
        name: {"value": _rounded(figure.value)}
        | {
            key: _rounded(value)
            for key, value in asdict(figure).items()
            if key != "value" and value is not None
        }
        for name, figure in metrics.items()
    }


def line(name: str, figure: Mapping[str, Any]) -> str:
    """Return a metric of ``metrics.json``, with its interval, in one line."""
    if figure["value"] is None:
        return f"{name} not defined: {figure['reason']}"
    if "low" not in figure:
        return f"{name} {figure['value']:.4f}"
    return f"{name} {figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]"


def _rounded(value: Any) -> Any:
    return round(value, _DECIMALS) if isinstance(value, float) else value
