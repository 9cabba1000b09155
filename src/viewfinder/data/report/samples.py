"""Samples of a split with all of their annotations that can be drawn, also augmented."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.report.thumbnails import CROWDED, Picture, draw_box, paint, to_rgb
from viewfinder.data.schema import IGNORE
from viewfinder.data.splits.pixels import decode
from viewfinder.errors import ViewfinderError

AS_IT_IS = "as it is"
SAMPLE_COLUMNS = ("id", "image", "label", "labels", "objects", "mask")
_OPACITY = 0.3  # lets the change of colours show through
_MOST_MASK_PIXELS = 2**27  # of all instances of an image


def choose_rows(split: SplitFile, count: int, seed: int) -> list[int]:
    """Choose at most ``count`` rows of a split, the same ones for the same seed."""
    return sorted(random.Random(seed).sample(range(len(split)), min(count, len(split))))


def read_sample(row: Mapping[str, Any]) -> Sample:
    """Decode a row of a split with all of its annotations that can be drawn.

    Instance masks that would take more than 128 MB are left out; their boxes stay.

    Args:
        row: Those of ``SAMPLE_COLUMNS`` that the split has.
    """
    image = to_rgb(decode(row["image"]["bytes"]))
    objects = row.get("objects") or []
    boxes = np.array([item["bbox"] for item in objects], np.float32).reshape(-1, 4)
    solid = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    mask = row.get("mask")
    return Sample(
        image,
        boxes=boxes[solid],
        labels=np.array([item["category"] for item in objects], np.int64)[solid],
        mask=decode(mask["bytes"]).astype(np.uint8) if mask else None,
        instances=_instances(objects, image.shape[:2], solid),
    )


def augmented(sample: Sample, name: str, transform: Transform, seed: Sequence[int]) -> Sample:
    """Return a sample under an augmentation, boxes, masks and instances as it leaves them.

    Random crops and those of whole batches move pixels alone, and serve tasks that know no places:
    of these the image comes back without annotations.

    Args:
        sample: The sample.
        name: The augmentation's name, for messages.
        transform: The augmentation.
        seed: Numbers that it is drawn from: a seed, the number of the draw and the row.

    Raises:
        ViewfinderError: If it can't be applied.
    """
    shown = Sample(sample.image) if transform.for_whole_images else sample
    try:
        after = transform(shown, seed)
        if after.image.dtype != np.uint8 or after.image.shape != (*transform.size, 3):
            made = f"{after.image.dtype} {list(after.image.shape)}"
            raise ValueError(f"it makes an image {made}; expected uint8 [height, width, 3]")
        return after
    except Exception as error:  # of whatever class the user chose
        height, width = sample.image.shape[:2]
        raise ViewfinderError(
            f"The augmentation {name!r} can't be applied to a training image of {width} x {height} "
            f"pixels: {str(error).strip().rstrip('.')}. Correct its options in conf/augment/."
        ) from error


def draw_sample(sample: Sample, size: tuple[int, int]) -> Picture:
    """Draw a sample's image with its boxes, masks and instances.

    Args:
        sample: The sample.
        size: Height and width of the picture, pixels.
    """
    height, width = sample.image.shape[:2]
    grows = size[0] >= height
    method = cv2.INTER_NEAREST if grows else cv2.INTER_AREA
    picture = to_rgb(cv2.resize(sample.image, size[::-1], interpolation=method))
    if sample.mask is not None:
        picture = paint(picture, sample.mask, _OPACITY)
    if sample.instances is not None:
        for mask, label in zip(sample.instances, sample.labels, strict=True):
            picture = paint(picture, np.where(mask > 0, label % IGNORE, IGNORE), _OPACITY)
    scale = np.array([size[1] / width, size[0] / height] * 2)
    crowded = len(sample.boxes) > CROWDED
    for box, label in zip(sample.boxes, sample.labels, strict=True):
        draw_box(picture, box * scale, int(label), thin=crowded)
    return picture


def _instances(
    objects: Sequence[Mapping[str, Any]], frame: tuple[int, ...], solid: NDArray[np.bool_]
) -> NDArray[np.uint8] | None:
    """Return the mask of each solid object, uint8 [N, H, W]; None if there are none to draw."""
    outlined = objects and all(item["rle"] is not None for item in objects)
    if not outlined or len(objects) * math.prod(frame) > _MOST_MASK_PIXELS:
        return None
    masks = coco_mask.decode([{"size": list(frame), "counts": item["rle"]} for item in objects])
    return np.ascontiguousarray(masks.transpose(2, 0, 1))[solid]
