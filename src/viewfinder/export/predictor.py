"""Predictions from an exported file, without PyTorch's network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from viewfinder.errors import ViewfinderError
from viewfinder.tasks.thresholds import told

_ENTRIES = ("task", "classes", "preprocessing")
_ERRORS_ONLY = 3


class OnnxPredictor:
    """Runs a file that ``export_onnx`` wrote, on the CPU.

    Attributes:
        path: The file.
        task: Name of the task.
        classes: Class names.
        preprocessing: What the images must be: ``layout``, ``color``, ``dtype``, ``height``,
            ``width``, ``interpolation`` (``area`` is ``linear`` for images that grow); and what the
            graph does itself: ``normalisation``, ``mean``, ``std``.
        thresholds: Of each class where images may show several, the probability or score from
            which on it is told.
        metadata: All entries of the file.
        threads: Threads a prediction uses, as many as PyTorch's.

    Args:
        path: The file.

    Raises:
        ViewfinderError: If there is no such file or it is no export of viewfinder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.threads = torch.get_num_threads()
        self._session = _open(path, self.threads)
        entries = self._session.get_modelmeta().custom_metadata_map
        self.metadata = _decode(entries, path)
        self.task: str = self.metadata["task"]
        self.classes: list[str] = self.metadata["classes"]
        self.preprocessing: dict[str, Any] = self.metadata["preprocessing"]
        self.thresholds: list[float] | None = self.metadata.get("thresholds")
        self._input: str = self._session.get_inputs()[0].name
        self._outputs: list[str] = [output.name for output in self._session.get_outputs()]

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Predict for RGB or grey images, uint8 [N, channels, H, W].

        Returns:
            The task's named predictions, as ``VisionTask.predict`` returns them.

        Raises:
            ViewfinderError: If the images are not of that type and of the file's size.
        """
        self._check(images)
        found = self._session.run(self._outputs, {self._input: images.cpu().numpy()})
        return {
            name: torch.from_numpy(value) for name, value in zip(self._outputs, found, strict=True)
        }

    def told(self, images: Tensor) -> dict[str, Tensor]:
        """Predict, without the detections below their class's threshold: their score is 0."""
        found = self.predict(images)
        if self.thresholds is None or "scores" not in found:
            return found
        return told(found, self.thresholds)

    def _check(self, images: Tensor) -> None:
        height, width = self.preprocessing["height"], self.preprocessing["width"]
        channels, color = len(self.preprocessing["mean"]), self.preprocessing["color"]
        fits = (
            images.dtype == torch.uint8
            and images.ndim == 4
            and len(images) > 0
            and images.shape[1:] == (channels, height, width)
        )
        if not fits:
            dtype = str(images.dtype).removeprefix("torch.")
            raise ViewfinderError(
                f"{self.path} can't predict for {dtype} images of shape {list(images.shape)}: it "
                f"takes {color} images, uint8 [N, {channels}, {height}, {width}] with N of 1 or "
                "more. Resize the images to that and leave them unnormalised."
            )


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ViewfinderError(
            f"There is no ONNX file {path}. Run `dvc repro` to export the model, or check the path."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    # Threads that spin between two calls take the cores from whatever runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own.
        raise ViewfinderError(
            f"{path} can't be opened as an ONNX model: {_first_line(error)} It may be damaged: "
            "run `dvc repro` to export it again."
        ) from error


def _decode(entries: Mapping[str, str], path: Path) -> dict[str, Any]:
    missing = [name for name in _ENTRIES if name not in entries]
    try:
        decoded = {name: json.loads(text) for name, text in entries.items()} if not missing else {}
    except json.JSONDecodeError:
        missing = list(_ENTRIES)
    if missing:
        raise ViewfinderError(
            f"{path} is an ONNX model that viewfinder didn't export: its metadata lack "
            f"{', '.join(missing)} as JSON. Export the model with `dvc repro`."
        )
    return decoded


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".") + "."
