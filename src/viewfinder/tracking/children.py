"""What a sweep's parent needs to know of its children."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from omegaconf import DictConfig, OmegaConf

from viewfinder.tracking.names import (
    MODE_TAG,
    MONITOR_TAG,
    OBJECTIVE,
    OVERRIDES_TAG,
    PARENT_TAG,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class Best:
    """The child with the best objective.

    Attributes:
        run_id: Its MLflow run id.
        objective: The value that was compared.
        monitor: Name of the metric behind it.
        mode: Whether small or large values are good.
        overrides: Its Hydra overrides, such as ``model=unet``.
    """

    run_id: str
    objective: float
    monitor: str
    mode: Literal["min", "max"]
    overrides: list[str]


def sweep_overrides(config: DictConfig) -> list[str]:
    """Return the sweep as override strings: the command line's and the sweeper's own."""
    params = OmegaConf.select(config, "hydra.sweeper.params", default=None) or {}
    return [f"{key}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)


def override_params(overrides: Sequence[str]) -> dict[str, str]:
    """Split override strings into names and values: ``+experiment=a,b`` is ``experiment``."""
    pairs = (override.partition("=") for override in overrides)
    return {key.lstrip("+~"): value for key, _, value in pairs}


def find(client: MlflowClient, parent: str) -> list[MlflowEntity]:
    """Return the runs that name ``parent``, from every experiment of the store."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    family: list[MlflowEntity] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            experiments, f"tags.`{PARENT_TAG}` = '{parent}'", page_token=token
        )
        family.extend(page)
        token = page.token
        if not token:
            return family


def end_orphans(client: MlflowClient, family: Sequence[MlflowEntity]) -> None:
    """End children whose worker died without a word: the sweep is over, so they are too."""
    for run in family:
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")


def best(family: Sequence[MlflowEntity]) -> Best | None:
    """Return the best finished child; None where none has an objective or these differ in kind."""
    candidates = [
        Best(
            run.info.run_id,
            run.data.metrics[OBJECTIVE],
            run.data.tags.get(MONITOR_TAG, OBJECTIVE),
            "min" if run.data.tags.get(MODE_TAG) == "min" else "max",
            json.loads(run.data.tags.get(OVERRIDES_TAG, "[]")),
        )
        for run in family
        if run.info.status == "FINISHED"
        and not math.isnan(run.data.metrics.get(OBJECTIVE, math.nan))
    ]
    if len({(child.monitor, child.mode) for child in candidates}) != 1:
        return None
    pick = min if candidates[0].mode == "min" else max
    return pick(candidates, key=lambda child: child.objective)
