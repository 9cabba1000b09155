"""A section of ``params.yaml`` as Hydra overrides."""

from collections.abc import Mapping, Sequence
from typing import Any

from viewfinder.errors import ViewfinderError


def section_overrides(section: Mapping[str, Any]) -> list[str]:
    """Turn a section of ``params.yaml`` into Hydra overrides.

    ``{model: fpn, trainer: {max_epochs: 8}}`` becomes ``model=fpn trainer.max_epochs=8``. The
    list under ``overrides`` is taken as it is, and ``experiment`` names a recipe to start from.
    """
    overrides: list[str] = []
    for key, value in section.items():
        if key == "overrides":
            overrides += _listed(value)
        elif key == "experiment":
            overrides.append(f"+experiment={value}")
        elif isinstance(value, Mapping):
            overrides += [f"{path}={quote(leaf)}" for path, leaf in _leaves(value, key)]
        else:
            overrides.append(f"{key}={value if isinstance(value, str) else quote(value)}")
    return overrides


def _listed(overrides: Any) -> list[str]:
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        raise ViewfinderError(
            f"`overrides` in params.yaml is {overrides!r}; expected a list of Hydra overrides, "
            "such as [optimizer.lr=1e-3, augment=none]."
        )
    return overrides


def _leaves(node: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in node.items():
        inner = f"{path}.{key}"
        leaves += _leaves(value, inner) if isinstance(value, Mapping) else [(inner, value)]
    return leaves


def quote(value: Any) -> str:
    """Write a value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{quote(item)}' for key, item in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(quote(item) for item in value)}]"
    return str(value)
