"""The measure that fits a table of predictions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from torchvision.ops import box_iou

from viewfinder.evaluation.measures.image_classes import ImageClasses, LocatedClasses
from viewfinder.evaluation.measures.measure import Measure
from viewfinder.evaluation.measures.objects import Instances, Objects
from viewfinder.evaluation.measures.packed import Packed, pack
from viewfinder.evaluation.measures.panoptic import ImageMasks, PanopticQuality
from viewfinder.evaluation.measures.pixel_classes import PixelClasses
from viewfinder.evaluation.measures.present_classes import PresentClasses
from viewfinder.evaluation.predictions.columns import PredictionsInfo
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import decode_map, decode_masks
from viewfinder.tasks.matching import Floats, ImageObjects, corner_and_size, overlaps

Row = Mapping[str, Any]


def open_measure(predictions: PredictionsFile) -> Measure:
    """Return the measure of a table of predictions."""
    return _MEASURES[predictions.info.task](predictions)


def _image_classes(file: PredictionsFile) -> Measure:
    return ImageClasses(file.column("label"), file.column("probabilities"), file.info.classes)


def _present_classes(file: PredictionsFile) -> Measure:
    return PresentClasses(
        _packed(file, "labels"),
        file.column("probabilities"),
        _packed(file, "present"),
        file.info.classes,
        file.info.thresholds or [],
    )


def _packed(file: PredictionsFile, name: str) -> Packed:
    return np.concatenate([pack(flags) for _, (flags,) in file.parts(name)])


def _located_classes(file: PredictionsFile) -> Measure:
    overlaps = np.empty(len(file))
    for rows, pair in file.parts("box", "predicted_box"):
        boxes, found = (torch.tensor(corners) for corners in pair)
        overlaps[rows] = box_iou(boxes, found).diagonal().numpy()
    probabilities = file.column("probabilities")
    return LocatedClasses(file.column("label"), probabilities, file.info.classes, overlaps)


def _pixel_classes(file: PredictionsFile) -> Measure:
    rows = file.rows(["mask", "predicted_mask"])
    maps = ((decode_map(row["mask"]), decode_map(row["predicted_mask"])) for row in rows)
    return PixelClasses(maps, file.info.classes)


def _objects(file: PredictionsFile) -> Measure:
    info = file.info
    images = (_by_boxes(row) for row in file.rows())
    return Objects(images, info.classes, thresholds=info.told_from)


def image_objects(file: PredictionsFile) -> Iterator[ImageObjects]:
    """Yield the objects and detections of each image, by their masks if they have any."""
    reading = _by_masks if file.info.task == "instances" else _by_boxes
    return (reading(row) for row in file.rows())


def _instances(file: PredictionsFile) -> Measure:
    classes, told_from = file.info.classes, file.info.told_from
    return Instances(
        masks=Objects((_by_masks(row) for row in file.rows()), classes, "mask_", told_from),
        boxes=Objects((_by_boxes(row) for row in file.rows()), classes, "box_"),
        panoptic=PanopticQuality((_decoded(row, file.info) for row in file.rows()), classes),
    )


def _decoded(row: Row, info: PredictionsInfo) -> ImageMasks:
    """Decode the masks of an image's objects, and of the detections that are told."""
    size, told = (row["height"], row["width"]), info.told(row)
    return ImageMasks(
        labels=np.array(row["labels"], np.int64),
        crowd=np.array(row["crowd"], np.bool_),
        masks=decode_masks(row["masks"], *size),
        found_labels=np.array(row["predicted_labels"], np.int64)[told],
        scores=np.array(row["predicted_scores"], np.float64)[told],
        found_masks=decode_masks([row["predicted_masks"][place] for place in told], *size),
    )


def _by_boxes(row: Row) -> ImageObjects:
    boxes, found = corner_and_size(row["boxes"]), corner_and_size(row["predicted_boxes"])
    areas = boxes[:, 2] * boxes[:, 3]
    if "masks" in row:
        areas = _mask_areas(row, "masks")
    return _image_objects(row, boxes, found, areas, found[:, 2] * found[:, 3])


def _by_masks(row: Row) -> ImageObjects:
    true, found = (_runs(row, name) for name in ("masks", "predicted_masks"))
    return _image_objects(
        row, true, found, _mask_areas(row, "masks"), _mask_areas(row, "predicted_masks")
    )


def _image_objects(
    row: Row, true: Any, found: Any, areas: Floats, found_areas: Floats
) -> ImageObjects:
    crowd = np.array(row["crowd"], np.bool_)
    return ImageObjects(
        labels=np.array(row["labels"], np.int64),
        crowd=crowd,
        areas=areas,
        found_labels=np.array(row["predicted_labels"], np.int64),
        scores=np.array(row["predicted_scores"], np.float64),
        found_areas=found_areas,
        overlaps=overlaps(found, true, crowd),
    )


def _runs(row: Row, name: str) -> list[dict[str, Any]]:
    return [{"size": [row["height"], row["width"]], "counts": run} for run in row[name]]


def _mask_areas(row: Row, name: str) -> Floats:
    runs = _runs(row, name)
    return np.asarray(coco_mask.area(runs), np.float64) if runs else np.zeros(0)


_MEASURES: dict[str, Callable[[PredictionsFile], Measure]] = {
    "classification": _image_classes,
    "multilabel": _present_classes,
    "localization": _located_classes,
    "detection": _objects,
    "instances": _instances,
    "segmentation": _pixel_classes,
}
