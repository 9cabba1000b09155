"""Sizes of boxes and instance masks, and boxes that can't be right."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.readers.record import Object, Record
from viewfinder.data.schema import Split

_BINS = 20
_SMALL, _MEDIUM = 32**2, 96**2


def describe_objects(records: Sequence[Record], classes: Sequence[str]) -> dict[str, Any]:
    """Describe the objects of all images.

    Returns:
        Objects an image; a histogram of their size relative to the image (the square root of the
        area's share, so 0.5 is half as wide and high); objects by COCO's sizes (small below 32²
        pixels, large from 96²); the median box and mask of each class. Empty without objects.
    """
    numbers = Counter(len(record.objects or ()) for record in records)
    shares: list[float] = []
    areas: list[float] = []
    of_class: defaultdict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for record, item in _objects(records):
        width, height = _extent(item)
        frame = record.size or (1, 1)
        shares.append(min(1.0, float(np.sqrt(width * height / (frame[0] * frame[1])))))
        areas.append(_mask_area(item, record) if item.rle is not None else width * height)
        of_class[item.category].append((width, height, areas[-1] if item.rle else np.nan))
    if not shares:
        return {}
    return {
        "of_an_image": {str(number): images for number, images in sorted(numbers.items())},
        "relative_size": np.histogram(shares, bins=_BINS, range=(0, 1))[0].tolist(),
        "small": sum(area < _SMALL for area in areas),
        "medium": sum(_SMALL <= area < _MEDIUM for area in areas),
        "large": sum(area >= _MEDIUM for area in areas),
        "median_by_class": {
            classes[label]: _median(rows) for label, rows in sorted(of_class.items())
        },
    }


def suspicious_boxes(parts: Mapping[Split, list[Record]]) -> dict[str, list[dict[str, Any]]]:
    """List boxes without area and boxes that reach out of their image, by image."""
    found: dict[str, list[dict[str, Any]]] = {"empty": [], "out_of_frame": []}
    for split, records in parts.items():
        for record, item in _objects(records):
            left, top, right, bottom = item.bbox
            width, height = record.size or (np.inf, np.inf)
            entry = {"id": record.id, "split": split, "bbox": [float(v) for v in item.bbox]}
            if right <= left or bottom <= top:
                found["empty"].append(entry)
            # Half a pixel is left for annotations that count from 1, and for rounding.
            if min(left, top) < -0.5 or right > width + 0.5 or bottom > height + 0.5:
                found["out_of_frame"].append(entry)
    return found


def _objects(records: Sequence[Record]) -> Iterator[tuple[Record, Object]]:
    for record in records:
        for item in record.objects or ():
            yield record, item


def _extent(item: Object) -> tuple[float, float]:
    left, top, right, bottom = item.bbox
    return max(0.0, right - left), max(0.0, bottom - top)


def _mask_area(item: Object, record: Record) -> float:
    width, height = record.size or (0, 0)
    return float(coco_mask.area({"size": [height, width], "counts": item.rle}))


def _median(rows: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    values = np.array(rows)
    width, height = np.median(values[:, :2], axis=0).round(1).tolist()
    with_mask = values[~np.isnan(values[:, 2]), 2]
    mask = {"mask_area": round(float(np.median(with_mask)), 1)} if len(with_mask) else {}
    return {"width": width, "height": height, **mask}
