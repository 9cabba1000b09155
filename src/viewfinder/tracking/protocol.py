"""What a stage can do with a run, and the run that does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image
    from pytorch_lightning.loggers import MLFlowLogger


class Run(Protocol):
    """What a stage can do with a run, tracked or not.

    Every method that writes raises ``ViewfinderError`` if the store does not take it.
    """

    @property
    def id(self) -> str | None:
        """The MLflow run id; None when tracking is off."""

    def logger(self) -> MLFlowLogger | None:
        """Return a Lightning logger that writes into this run and leaves its life cycle alone.

        Pass ``run.logger() or False`` to the Trainer: for None it makes a logger of its own.
        """

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log a nested mapping as flat, dotted params.

        Values above 6,000 characters are cut and kept whole as ``long_params/<name>.txt``. A param
        never changes in MLflow: a resumed run keeps its first value and gets the new one as a tag
        ``param.<name>``.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics in one request for each thousand."""

    def log_objective(self, value: float, monitor: str, mode: Literal["min", "max"]) -> None:
        """Log what a sweep compares: metric ``objective`` and what it is.

        Args:
            value: The final value of the monitored metric.
            monitor: Name of that metric.
            mode: Whether the smallest or the largest value is the best.
        """

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Upload one file into ``folder`` of the run's artifacts."""

    def log_artifacts(self, directory: str | Path, folder: str | None = None) -> None:
        """Upload what is in ``directory`` into ``folder`` of the run's artifacts."""

    def log_image(self, image: Image, key: str, step: int) -> None:
        """Add a picture to those of ``key``, which MLflow shows side by side and over the steps."""

    def log_text(self, text: str, artifact_file: str) -> None:
        """Write ``text`` as the artifact ``artifact_file``."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same name."""

    def log_input(
        self,
        name: str,
        source_path: str | Path,
        digest: str,
        context: str,
    ) -> None:
        """Log a data set that the run used.

        Args:
            name: Name of the data set.
            source_path: The split file; kept relative to the checkout.
            digest: Its hash, cut to MLflow's 36 characters.
            context: Its role: ``training``, ``validation``, ``testing``.
        """

    def log_onnx_model(
        self,
        path: str | Path,
        name: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Log an ONNX file as the run's model ``name``, in place of an earlier one.

        The signature is the graph's own: names, dtypes, free dimensions. An identical model is
        left as it is. A different one is deleted once the new one is ready, unless a registered
        model version was made from it.

        Args:
            path: The ``.onnx`` file.
            name: Name of the logged model.
            metadata: JSON-like facts: class names, preprocessing.

        Returns:
            The model id, for ``models:/<id>``; None when tracking is off.
        """


class NoRun:
    """The run when tracking is off: it takes everything and keeps nothing."""

    id: str | None = None

    def logger(self) -> MLFlowLogger | None:
        """Return None."""
        return None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Do nothing."""

    def log_objective(self, value: float, monitor: str, mode: Literal["min", "max"]) -> None:
        """Do nothing."""

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Do nothing."""

    def log_artifacts(self, directory: str | Path, folder: str | None = None) -> None:
        """Do nothing."""

    def log_image(self, image: Image, key: str, step: int) -> None:
        """Do nothing."""

    def log_text(self, text: str, artifact_file: str) -> None:
        """Do nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_input(
        self,
        name: str,
        source_path: str | Path,
        digest: str,
        context: str,
    ) -> None:
        """Do nothing."""

    def log_onnx_model(
        self,
        path: str | Path,
        name: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Return None."""
        return None
