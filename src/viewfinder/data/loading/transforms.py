"""Albumentations behind one door: image, boxes, masks and instances change together."""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.sample import Sample

Interpolation = Literal["linear", "cubic", "area"]
_INTERPOLATION = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


class Transform:
    """Augments a sample, if asked to, and brings it to the model's input size.

    The outcome depends on the sample and the seed alone, never on the process it runs in. Boxes
    that leave the image are cut at its border; those that leave it wholly are dropped together
    with their label and instance mask.

    Args:
        size: Height and width of the model's input, pixels.
        interpolation: How pixels are resampled.
        augmentations: Albumentations transforms, applied in order before the resize.
        channels: 1 makes images grey at last, 3 leaves them RGB.
    """

    def __init__(
        self,
        size: tuple[int, int],
        interpolation: Interpolation = "linear",
        augmentations: Sequence[Any] = (),
        channels: int = 3,
    ) -> None:
        self.size = size
        self.channels = channels
        self.interpolation = _INTERPOLATION[interpolation]
        self._augment = _compose(augmentations) if augmentations else None
        self._moves = any(hasattr(item, "apply_to_bboxes") for item in augmentations)

    def __call__(self, sample: Sample, seed: Sequence[int] | None = None) -> Sample:
        """Transform one sample.

        Args:
            sample: The decoded sample.
            seed: Numbers that the augmentation is drawn from; None only resizes.
        """
        if seed is not None and self._augment is not None:
            generator = np.random.default_rng(list(seed))
            self._augment.set_random_state(generator, random.Random(int(generator.integers(2**63))))
            sample = self._augmented(sample)
        sample = self._resized(sample)
        if self.channels == 1:
            grey = cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY)
            sample = replace(sample, image=np.asarray(grey[..., None], np.uint8))
        return sample

    def _augmented(self, sample: Sample) -> Sample:
        assert self._augment is not None
        if not self._moves:
            return replace(sample, image=self._augment(image=sample.image)["image"])
        inputs: dict[str, Any] = {
            "image": sample.image,
            "bboxes": sample.boxes,
            "box_numbers": np.arange(len(sample.boxes)),
        }
        if sample.mask is not None:
            inputs["mask"] = sample.mask
        if sample.instances is not None and len(sample.instances):
            inputs["masks"] = sample.instances
        result = self._augment(**inputs)
        kept = np.asarray(result["box_numbers"], np.int64)
        instances = sample.instances
        if "masks" in result:
            instances = np.asarray(result["masks"], np.uint8)[kept]
        return replace(
            sample,
            image=result["image"],
            boxes=np.asarray(result["bboxes"], np.float32).reshape(-1, 4),
            labels=sample.labels[kept],
            crowd=None if sample.crowd is None else sample.crowd[kept],
            mask=result.get("mask"),
            instances=instances,
        )

    def _resized(self, sample: Sample) -> Sample:
        height, width = sample.image.shape[:2]
        if (height, width) == self.size:
            return replace(sample, image=np.ascontiguousarray(sample.image))
        target = (self.size[1], self.size[0])
        scale = np.array([target[0] / width, target[1] / height] * 2, np.float32)
        return replace(
            sample,
            image=cv2.resize(sample.image, target, interpolation=self.interpolation),
            boxes=sample.boxes * scale,
            mask=None if sample.mask is None else _resize_mask(sample.mask, target),
            instances=None
            if sample.instances is None
            else _resize_instances(sample.instances, target),
        )


def _resize_instances(instances: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    resized = [_resize_mask(mask, target) for mask in instances]
    return np.array(resized, np.uint8).reshape(len(instances), *target[::-1])


def _resize_mask(mask: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask, target, interpolation=cv2.INTER_NEAREST), np.uint8)


def _compose(augmentations: Sequence[Any]) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A

    boxes = A.BboxParams(
        format="pascal_voc", label_fields=["box_numbers"], clip=True, filter_invalid_bboxes=True
    )
    return A.Compose(list(augmentations), bbox_params=boxes)
