"""Albumentations behind one door: image, boxes, masks and instances change together."""

import os
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from viewfinder.data.loading.sample import Sample
from viewfinder.errors import ViewfinderError

Generators = tuple[np.random.Generator, random.Random]


def generators(seed: Sequence[int]) -> Generators:
    """Return what the transforms of one sample draw from."""
    generator = np.random.default_rng(list(seed))
    return generator, random.Random(int(generator.integers(2**63)))


class Augmentation:
    """Albumentations transforms in order; they draw from the generators they are called with.

    Boxes that leave the image are cut at its border; those that leave it wholly are dropped
    together with their label and instance mask.

    Args:
        transforms: The transforms.

    Raises:
        ViewfinderError: If one is none.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        for item in transforms:
            if not hasattr(item, "set_random_state"):
                plain = isinstance(item, dict | list | str | int | float)
                raise ViewfinderError(
                    f"{item if plain else type(item).__name__} is no transform of Albumentations "
                    "and no augmentation of whole batches. Name one by `_target_`, without "
                    "`_partial_`, in conf/augment/."
                )
        # The library asks the network for its newest version unless told not to.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations as A

        boxes = A.BboxParams(
            format="pascal_voc", label_fields=["box_numbers"], clip=True, filter_invalid_bboxes=True
        )
        moves = any(hasattr(item, "apply_to_bboxes") for item in transforms)
        self._of_pixels: list[Any] = deepcopy(list(transforms))
        self._of_boxes = A.Compose(list(transforms), bbox_params=boxes) if moves else None

    def __call__(self, sample: Sample, generators: Generators) -> Sample:
        """Augment one sample."""
        generator, python_generator = generators
        annotated = len(sample.boxes) or sample.mask is not None or sample.instances is not None
        if self._of_boxes is not None and annotated:
            self._of_boxes.set_random_state(generator, python_generator)
            return _with_annotations(self._of_boxes, sample)
        # Without the library's work around boxes, which takes longer than many a transform; the
        # number that it draws beforehand is drawn here too, so that annotations change no image.
        python_generator.random()
        result = {"image": sample.image}
        for transform in self._of_pixels:
            transform.set_random_state(generator, python_generator)
            result = transform(**result)
        return _framed(sample, image=result["image"])


def _with_annotations(transform: Any, sample: Sample) -> Sample:
    inputs: dict[str, Any] = {
        "image": sample.image,
        "bboxes": sample.boxes,
        "box_numbers": np.arange(len(sample.boxes)),
    }
    if sample.mask is not None:
        inputs["mask"] = sample.mask
    if sample.instances is not None and len(sample.instances):
        inputs["masks"] = sample.instances
    result = transform(**inputs)
    kept = np.asarray(result["box_numbers"], np.int64)
    instances = sample.instances
    if "masks" in result:
        # Where masks of classes are filled with what does not count, instances are, too.
        inside = np.asarray(result["masks"])[kept] == 1
        instances = inside.astype(np.uint8)
    return _framed(
        sample,
        image=result["image"],
        boxes=np.asarray(result["bboxes"], np.float32).reshape(-1, 4),
        labels=sample.labels[kept],
        crowd=None if sample.crowd is None else sample.crowd[kept],
        mask=result.get("mask"),
        instances=instances,
    )


def _framed(sample: Sample, **changes: Any) -> Sample:
    return replace(sample, frame=changes["image"].shape[:2], **changes)
