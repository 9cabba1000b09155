"""Bring names and values into the form that MLflow accepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

PARAM_LIMIT = 6000
PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
DIGEST_LIMIT = 36
_KEY_LIMIT = 250
_FORBIDDEN = re.compile(r"[^\w./: -]")
_WHAT_TO_BUILD = "_target_"
_HOW_TO_BUILD = frozenset({"_partial_", "_convert_", "_recursive_"})

T = TypeVar("T")


def entry_name(name: str) -> str:
    """Return a param or metric name as MLflow takes it: ``mAP@50`` becomes ``mAP_50``."""
    return _FORBIDDEN.sub("_", name)[:_KEY_LIMIT]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested mappings into dotted names and strings.

    Lists of plain values stay one entry, in JSON; lists that hold mappings are numbered. A class
    that is built (Hydra's ``_target_``) stands by its short name: ``optimizer: AdamW``. Options
    that are not set are left out.

    Args:
        tree: The resolved config, or a part of it.
        prefix: Put before every name, with its dot.
    """
    flat: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if value is None or key in _HOW_TO_BUILD:
            continue
        if key == _WHAT_TO_BUILD and prefix:
            flat[entry_name(prefix[:-1])] = str(value).rpartition(".")[2]
        elif isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            if any(isinstance(item, Mapping) for item in value):
                flat |= flatten({str(i): item for i, item in enumerate(value)}, f"{name}.")
            else:
                flat[entry_name(name)] = json.dumps(value, default=str)
        else:
            flat[entry_name(name)] = str(value)
    return flat


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield ``items`` in slices of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
