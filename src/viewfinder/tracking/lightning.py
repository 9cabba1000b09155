"""Lightning's MLflow logger, bound to a run that somebody else ends."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import MLFlowLogger

from viewfinder.tracking.refusal import store_errors
from viewfinder.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class RunLogger(MLFlowLogger):
    """Log metrics into one run of a known store.

    Lightning's own logger sets the process's tracking URI, ends the run with the fit, and logs
    hyper-parameters cut to 250 characters under names that clash with the run's params.
    """

    def __init__(self, store: Store, run_id: str, task: str) -> None:
        """Bind to ``run_id``, which must exist in ``store``."""
        super().__init__(experiment_name=task, tracking_uri=store.uri, run_id=run_id)
        self._store = store

    @property
    def experiment(self) -> MlflowClient:
        """The client of the store."""
        return self._store.client

    @property
    def name(self) -> str | None:
        """Identifier of the MLflow experiment."""
        return self._store.experiment_id

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: the stage logs the config."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics; a server that has gone is a ``ViewfinderError``."""
        with store_errors(self._store.uri):
            super().log_metrics(metrics, step)

    def finalize(self, status: str = "success") -> None:
        """Do nothing: the run goes on after the fit."""
