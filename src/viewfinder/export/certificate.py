"""Proof that an exported file predicts what the task predicts."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median
from time import perf_counter
from typing import Any

from torch import Tensor

from viewfinder.data.loading.dataset import Batch
from viewfinder.errors import ViewfinderError
from viewfinder.export.differences import Differences
from viewfinder.export.placement import evaluated_on_cpu
from viewfinder.export.predictor import OnnxPredictor
from viewfinder.tasks import Predictions, VisionTask

_PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript")
_WARM_UPS = 2
_TIMED_RUNS = 7
# Boxes within this many tolerances are taken for one detection and compared.
_REACH = 10
_MEND = (
    "If that is close enough for you, raise the tolerance among the export options; otherwise try "
    "another opset or network."
)


@dataclass(frozen=True)
class Certificate:
    """What a comparison of PyTorch and ONNX Runtime found, both on the CPU.

    Attributes:
        images: Number of images compared.
        largest_difference: Largest absolute difference of each output; boxes as shares of the
            image's sides.
        detections: Number of detections of both runtimes together; None for other tasks.
        unmatched: How many of them have no counterpart of the same class and place.
        decisions: Number of values of yes-or-no outputs; None for tasks without any.
        flipped: How many of them differ.
        metrics: Every metric of ``pytorch`` and of ``onnx``.
        latency_ms: Median milliseconds a batch of ``pytorch`` and of ``onnx``, by batch size.
        threads: Threads that both used.
        versions: Version of each package that had a part in it.
        tolerance: Largest difference allowed in an output.
        metric_tolerance: Largest difference allowed in a metric, and largest share of detections
            allowed without a counterpart and of decisions that may differ.
    """

    images: int
    largest_difference: dict[str, float]
    detections: int | None
    unmatched: int | None
    decisions: int | None
    flipped: int | None
    metrics: dict[str, dict[str, float]]
    latency_ms: dict[str, dict[str, float]]
    threads: int
    versions: dict[str, str]
    tolerance: float
    metric_tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether every difference is within its tolerance."""
        return self.disagreement() is None

    def disagreement(self) -> str | None:
        """Return what differs by more than its tolerance, or None if nothing does."""
        found = [*self._outputs(), *self._counterparts(), *self._decisions(), *self._metrics()]
        if not found:
            return None
        return f"The exported model and PyTorch disagree: {'; '.join(found)}. {_MEND}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ``agrees`` too, as JSON can hold it."""
        return {"agrees": self.agrees, **asdict(self)}

    def _outputs(self) -> list[str]:
        return [
            f"the output {name!r} differs by {difference:.3g}"
            f"{' of the image side' if name == 'boxes' else ''} (tolerance {self.tolerance:g})"
            for name, difference in self.largest_difference.items()
            if not difference <= self.tolerance
        ]

    def _counterparts(self) -> list[str]:
        if not self.unmatched or not self.detections:
            return []
        if self.unmatched / self.detections <= self.metric_tolerance:
            return []
        message = (
            f"{self.unmatched} of {self.detections} detections have no counterpart of the same "
            f"class and place (tolerated share {self.metric_tolerance:g})"
        )
        return [message]

    def _decisions(self) -> list[str]:
        if not self.flipped or not self.decisions:
            return []
        if self.flipped / self.decisions <= self.metric_tolerance:
            return []
        return [
            f"{self.flipped} of {self.decisions} decisions whether a class is present differ "
            f"(tolerated share {self.metric_tolerance:g})"
        ]

    def _metrics(self) -> list[str]:
        expected, found = self.metrics["pytorch"], self.metrics["onnx"]
        return [
            f"the metric {name!r} is {found.get(name, math.nan):.4f} instead of "
            f"{expected.get(name, math.nan):.4f} (tolerance {self.metric_tolerance:g})"
            for name in {**expected, **found}
            if not _close(expected.get(name), found.get(name), self.metric_tolerance)
        ]


def certify(
    task: VisionTask,
    predictor: OnnxPredictor,
    loader: Iterable[Batch],
    *,
    tolerance: float,
    metric_tolerance: float,
) -> Certificate:
    """Run all batches through the task and its exported file, and compare.

    Args:
        task: The task that was exported.
        predictor: The file it was exported to.
        loader: Batches with the targets that the task's metrics need.
        tolerance: Largest absolute difference allowed in an output; boxes count as shares of the
            image's sides.
        metric_tolerance: Largest absolute difference allowed in a metric; also the largest share
            of detections that only one of the two may have, and of decisions that may differ.

    Raises:
        ViewfinderError: If the file is another task's or the loader has no batches.
    """
    _check_same(task, predictor)
    differences = Differences(reach=_REACH * tolerance)
    expected_metrics, found_metrics = task.new_metrics(), task.new_metrics()
    count, first = 0, None
    with evaluated_on_cpu(task):
        for batch in loader:
            images = batch["image"].cpu()
            expected, found = task.predict(images), predictor.predict(images)
            height, width = images.shape[-2:]
            differences.update(expected, found, (height, width))
            expected_metrics.update(expected, batch)
            found_metrics.update(found, batch)
            count += len(images)
            first = images if first is None else first
        if first is None:
            raise ViewfinderError("There are no images to compare the exported model on.")
        latency = {
            "pytorch": _latencies(task.predict, first),
            "onnx": _latencies(predictor.predict, first),
        }
    detects = "scores" in expected
    decides = differences.decisions > 0
    return Certificate(
        images=count,
        largest_difference=differences.largest,
        detections=differences.detections if detects else None,
        unmatched=differences.unmatched if detects else None,
        decisions=differences.decisions if decides else None,
        flipped=differences.flipped if decides else None,
        metrics={"pytorch": expected_metrics.compute(), "onnx": found_metrics.compute()},
        latency_ms=latency,
        threads=predictor.threads,
        versions={package: version(package) for package in _PACKAGES},
        tolerance=tolerance,
        metric_tolerance=metric_tolerance,
    )


def _check_same(task: VisionTask, predictor: OnnxPredictor) -> None:
    if (predictor.task, predictor.classes) != (task.name, task.classes):
        raise ViewfinderError(
            f"{predictor.path} holds a {predictor.task} model of {len(predictor.classes)} classes "
            f"{predictor.classes[:5]}, not this {task.name} model of {len(task.classes)} classes "
            f"{task.classes[:5]}. Export this one."
        )


def _latencies(predict: Callable[[Tensor], Predictions], images: Tensor) -> dict[str, float]:
    return {str(size): _latency(predict, images[:size]) for size in sorted({1, len(images)})}


def _latency(predict: Callable[[Tensor], Predictions], images: Tensor) -> float:
    for _ in range(_WARM_UPS):
        predict(images)
    times = []
    for _ in range(_TIMED_RUNS):
        start = perf_counter()
        predict(images)
        times.append(perf_counter() - start)
    return round(median(times) * 1000, 3)


def _close(expected: float | None, found: float | None, tolerance: float) -> bool:
    if expected is None or found is None:
        return False
    if math.isnan(expected) and math.isnan(found):
        return True
    return abs(expected - found) <= tolerance
