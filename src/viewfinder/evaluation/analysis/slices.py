"""Parts of the test images, or of what they show, that a model may be weak on."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.analysis.class_frequency import by_frequency
from viewfinder.evaluation.measures.measure import Headline, Measure
from viewfinder.evaluation.measures.objects import SIZES, Instances, Objects
from viewfinder.evaluation.measures.pixel_classes import PixelClasses
from viewfinder.evaluation.measures.present_classes import PresentClasses
from viewfinder.evaluation.predictions.file import PredictionsFile

SliceKind = Literal["brightness", "class frequency", "object size", "group"]

LEAST_OF_GROUP = 10
_MOST_GROUPS = 50
_THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Slice:
    """A part of the test images, or of the objects or classes in them.

    Attributes:
        kind: What the images or objects were divided by.
        name: Which part it is.
        rows: Which images belong to it, bool [N].
        measure: What judges it.
        empty: Why a metric may have no value here.
    """

    kind: SliceKind
    name: str
    rows: NDArray[np.bool_]
    measure: Headline
    empty: str


def slices_of(
    predictions: PredictionsFile, measure: Measure, counts: NDArray[np.int64] | None
) -> list[Slice]:
    """Divide test images by brightness, class frequency, object size and group.

    Args:
        predictions: The predictions for a split.
        measure: Their measure.
        counts: Training images of each class, [C], if they are known.
    """
    measure = measure.masks if isinstance(measure, Instances) else measure
    found = [*_by_brightness(predictions, measure), *_by_size(predictions, measure)]
    if counts is not None:
        found += _by_frequency(predictions, measure, counts)
    return [*found, *_by_group(predictions, measure)]


def _by_brightness(predictions: PredictionsFile, measure: Measure) -> Iterator[Slice]:
    values = predictions.column("brightness")
    for name, rows in _thirds(values, ("dark", "medium", "bright"), "{:.2f}".format, ""):
        yield Slice("brightness", name, rows, measure, "")


def _by_size(predictions: PredictionsFile, measure: Measure) -> Iterator[Slice]:
    """Divide objects as COCO does; the one object of an image into thirds by its area."""
    every = np.ones(len(predictions), np.bool_)
    if isinstance(measure, Objects):
        for size, (least, most) in SIZES.items():
            name = f"{size} ({_span(least, most)} px)"
            none = f"no {size} object in any image"
            yield Slice("object size", name, every, measure.of_size(size), none)
    if "box" not in predictions.names:
        return
    sides = predictions.column("box").reshape(-1, 2, 2)
    areas = np.prod(sides[:, 1] - sides[:, 0], axis=1)
    for name, rows in _thirds(areas, ("small", "medium", "large"), _square, " px"):
        yield Slice("object size", name, rows, measure, "")


def _thirds(
    values: NDArray[np.floating[Any]],
    names: tuple[str, str, str],
    written: Callable[[float], str],
    unit: str,
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Divide images into three parts by a value; nothing where too many are alike for that."""
    low, high = np.quantile(values, _THIRDS)
    if written(low) == written(high) or not values.min() < low < high <= values.max():
        return
    first, second, third = names
    yield f"{first} (below {written(low)}{unit})", values < low
    between = (values >= low) & (values < high)
    yield f"{second} ({written(low)} to {written(high)}{unit})", between
    yield f"{third} (from {written(high)}{unit})", values >= high


def _square(area: float) -> str:
    return f"{area**0.5:.0f}²"


def _by_frequency(
    predictions: PredictionsFile, measure: Measure, counts: NDArray[np.int64]
) -> Iterator[Slice]:
    every = np.ones(len(predictions), np.bool_)
    for name, labels in by_frequency(counts, predictions.info.classes).items():
        none = "no test image shows any of these classes"
        if isinstance(measure, Objects | PixelClasses | PresentClasses):
            yield Slice("class frequency", name, every, measure.of_classes(labels), none)
        else:
            rows = np.isin(predictions.column("label"), labels)
            yield Slice("class frequency", name, rows, measure, none)


def _by_group(predictions: PredictionsFile, measure: Measure) -> Iterator[Slice]:
    """Take the largest groups, if there are several with enough images to tell anything."""
    groups = np.array(predictions.table.column("group").to_pylist(), dtype=object)
    sizes = Counter(name for name in groups.tolist() if name is not None)
    large = [name for name, size in sizes.most_common(_MOST_GROUPS) if size >= LEAST_OF_GROUP]
    if len(large) < 2:
        return
    for name in large:
        yield Slice("group", name, groups == name, measure, "")


def _span(least: float, most: float) -> str:
    low, high = _square(least), _square(most)
    if not least:
        return f"below {high}"
    return f"from {low}" if most >= 1e10 else f"{low} to {high}"


def metric_names(task: str) -> Sequence[str]:
    """Return the metrics that slices of a task are judged by."""
    return _METRICS[task]


_METRICS: dict[str, Sequence[str]] = {
    "classification": ("accuracy",),
    "multilabel": ("macro_average_precision",),
    "localization": ("joint_accuracy", "mean_iou"),
    "detection": ("map",),
    "instances": ("mask_map",),
    "segmentation": ("mean_iou",),
}
