"""What a model costs: its size, its training, a prediction."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viewfinder.errors import ViewfinderError

_BATCH = "1"


@dataclass(frozen=True)
class Amount:
    """A cost.

    Attributes:
        value: None if it is not known.
        reason: Why not.
    """

    value: float | None
    reason: str | None = None


def read_cost(training: Path | None, certificate: Path | None) -> dict[str, Amount]:
    """Read what a model costs from what its stages wrote.

    Args:
        training: ``train.json``; None if there is none.
        certificate: ``certificate.json`` of the export; None if there is none.

    Returns:
        ``parameters``, ``training_seconds`` and ``latency_ms``, of one image in ONNX Runtime.

    Raises:
        ViewfinderError: If a file is damaged.
    """
    trained, exported = _read(training), _read(certificate)
    latency = (exported or {}).get("latency_ms", {}).get("onnx", {}).get(_BATCH)
    return {
        "parameters": _amount(trained, "parameters"),
        "training_seconds": _amount(trained, "seconds"),
        "latency_ms": Amount(latency, None if latency is not None else "not exported"),
    }


def _amount(trained: dict[str, Any] | None, key: str) -> Amount:
    if trained is None:
        return Amount(None, "train.json is missing")
    value = trained.get(key)
    return Amount(value, None if value is not None else f"train.json does not hold {key}")


def _read(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ViewfinderError(f"{path} is damaged: {error}. Run its stage again.") from error
    return content
