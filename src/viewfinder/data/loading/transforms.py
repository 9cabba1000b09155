"""From a decoded sample to the model's input."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.augmentation import Augmentation, Generators, generators
from viewfinder.data.loading.batch_augmentation import BatchAugmentation, uniform
from viewfinder.data.loading.decode import REDUCTIONS, Reduction
from viewfinder.data.loading.random_crop import Part, RandomResizedCrop
from viewfinder.data.loading.sample import Sample
from viewfinder.errors import ViewfinderError

Interpolation = Literal["linear", "cubic", "area"]
_INTERPOLATION = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
# Albumentations transforms that do the same to an image before and after its resize.
_SIZELESS = frozenset(
    {
        "ChannelDropout",
        "ChannelShuffle",
        "ColorJitter",
        "HorizontalFlip",
        "HueSaturationValue",
        "InvertImg",
        "PlanckianJitter",
        "Posterize",
        "RGBShift",
        "RandomBrightnessContrast",
        "RandomGamma",
        "Solarize",
        "ToGray",
        "VerticalFlip",
    }
)


class Transform:
    """Augments a sample, if asked to, and brings it to the model's input size.

    The outcome depends on the sample and the seed alone, never on the process it runs in.
    A random crop comes first, before the image is decoded. Flips and colour changes at the end of
    the augmentations come after the resize, where there are fewer pixels, and so does whatever
    follows a random crop; all other transforms come before it, those of whole batches at the very
    end.

    Args:
        size: Height and width of the model's input, pixels.
        interpolation: How pixels are resampled; ``area`` makes means of those of images that shrink
            and is ``linear`` for others, which would come out in blocks.
        augmentations: At most one random crop, Albumentations transforms and batch augmentations,
            in this order.
        channels: 1 makes images grey at last, 3 leaves them RGB.

    Attributes:
        resamples: Whether augmentations change more than the place and colour of pixels.
        of_single_images: Whether an augmentation needs a sample of its own.
        for_whole_images: Whether there are augmentations that boxes and masks do not follow: a
            random crop, or those of whole batches.

    Raises:
        ViewfinderError: If the augmentations stand in another order.
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
        self._interpolation = _INTERPOLATION[interpolation]
        self._crop, single, self._of_batches = _kinds(augmentations)
        before, after = ([], single) if self._crop else _around_resize(single)
        self._before = Augmentation(before) if before else None
        self._after = Augmentation(after) if after else None
        self.resamples = bool(self._crop or before)
        self.of_single_images = bool(single)
        self.for_whole_images = bool(self._crop or self._of_batches)

    def __call__(self, sample: Sample, seed: Sequence[int] | None = None) -> Sample:
        """Transform one sample; a random crop leaves it no annotations but its class.

        Args:
            sample: The decoded sample.
            seed: Numbers that the augmentation is drawn from; None only resizes.
        """
        if seed is None:
            sample = self.drawn(sample, None)
            return replace(sample, image=self.grey(sample.image[None])[0])
        first, *key = (*seed, 0, 0)[:3]
        epochs, rows = np.array([key]).T
        parts = self.parts([sample.image.shape[:2]], first, epochs, rows)
        if parts is not None:
            sample = Sample(parts[0].of(sample.image, 1), label=sample.label)
        sample = self.drawn(sample, self.draw([seed])[0])
        images = sample.image[None].copy()
        self.on_batch(images, first, epochs, rows)
        return replace(sample, image=self.grey(images)[0])

    def parts(
        self,
        frames: Sequence[tuple[int, ...]],
        seed: int,
        epochs: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> list[Part] | None:
        """Return the random crop of each image; None if there is none.

        Args:
            frames: Height and width of each image, pixels.
            seed: Seed of the training.
            epochs: Epoch of each image, int64 [B].
            rows: Row of each image, int64 [B].
        """
        if self._crop is None:
            return None
        stream = len(self._of_batches)  # those below belong to the batch augmentations
        numbers = uniform(seed, stream, epochs, rows, self._crop.draws)
        return self._crop.parts(np.array(frames), numbers)

    def draw(self, seeds: Sequence[Sequence[int]]) -> list[Generators | None]:
        """Return what the augmentation of each sample draws from, for ``drawn``.

        To make generators takes several times as long between two images as it does in a row, when
        the processor's cache holds what it needs.

        Args:
            seeds: Numbers for each sample.
        """
        if not (self._before or self._after):
            return [None] * len(seeds)
        return [generators(seed) for seed in seeds]

    def drawn(self, sample: Sample, source: Generators | None) -> Sample:
        """Transform one sample, still in RGB; without a source of random numbers it is resized."""
        if source is not None and self._before:
            sample = self._before(sample, source)
        sample = self._resized(sample)
        if source is not None and self._after:
            sample = self._after(sample, source)
        return sample

    def on_batch(
        self,
        images: NDArray[np.uint8],
        seed: int,
        epochs: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> None:
        """Apply the batch augmentations.

        Args:
            images: uint8 [B, H, W, 3], changed in place.
            seed: Seed of the training.
            epochs: Epoch of each image, int64 [B].
            rows: Row of each image, int64 [B].
        """
        for number, augmentation in enumerate(self._of_batches):
            numbers = uniform(seed, number, epochs, rows, augmentation.draws)
            augmentation.on_batch(images, numbers)

    def grey(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn RGB images [B, H, W, 3] into what the model takes, [B, H, W, channels]."""
        if self.channels == 3:
            return images
        shape = (*images.shape[:3], 1)
        rows = cv2.cvtColor(images.reshape(-1, shape[2], 3), cv2.COLOR_RGB2GRAY)
        return np.asarray(rows, np.uint8).reshape(shape)

    def reduction(self, frame: tuple[int, int], *, augmented: bool, annotated: bool) -> Reduction:
        """Return the largest scale reduction at which an image loses nothing the model would see.

        Every pixel of the model's input must still be made of one pixel or more. A random crop is
        reckoned with at its smallest. Any other augmentation before the resize needs the whole
        image. Boxes and masks follow exactly where the reduction divides the sides.

        Args:
            frame: Height and width of the image, pixels.
            augmented: Whether the image will be augmented.
            annotated: Whether boxes or masks go with it.
        """
        if augmented and self._crop:
            return self._largest_reduction(self._crop.smallest(*frame))
        if augmented and self._before:
            return 1
        return self._largest_reduction(frame, exact=annotated)

    def reduction_of_part(self, part: Part) -> Reduction:
        """Return the largest scale reduction at which a random crop loses nothing."""
        return self._largest_reduction((part.height, part.width))

    def _largest_reduction(self, frame: tuple[int, int], *, exact: bool = False) -> Reduction:
        (height, width), needed = frame, self.size
        for reduction in reversed(REDUCTIONS):
            large = height // reduction >= needed[0] and width // reduction >= needed[1]
            if large and not (exact and (height % reduction or width % reduction)):
                return reduction
        return 1

    def resized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image [H, W, 3] at the model's input size."""
        if image.shape[:2] == self.size:
            return np.ascontiguousarray(image)
        resized = cv2.resize(image, self.size[::-1], interpolation=self._method(image))
        return np.asarray(resized, np.uint8)

    def resize_into(self, image: NDArray[np.uint8], room: NDArray[np.uint8]) -> None:
        """Write an image [H, W, 3] at the model's input size into ``room``, without a copy."""
        if image.shape == room.shape:
            room[:] = image
        else:
            cv2.resize(image, self.size[::-1], dst=room, interpolation=self._method(image))

    def _method(self, image: NDArray[np.uint8]) -> int:
        grows = image.shape[0] < self.size[0] or image.shape[1] < self.size[1]
        if grows and self._interpolation == cv2.INTER_AREA:
            return cv2.INTER_LINEAR
        return self._interpolation

    def _resized(self, sample: Sample) -> Sample:
        image = self.resized(sample.image)
        if sample.frame == self.size:
            return sample if image is sample.image else replace(sample, image=image)
        height, width = sample.frame
        target = (self.size[1], self.size[0])
        scale = np.array([target[0] / width, target[1] / height] * 2, np.float32)
        return replace(
            sample,
            image=image,
            boxes=sample.boxes * scale,
            mask=None if sample.mask is None else _resize_mask(sample.mask, target),
            instances=None
            if sample.instances is None
            else _resize_instances(sample.instances, target),
            frame=self.size,
        )


def _kinds(
    augmentations: Sequence[Any],
) -> tuple[RandomResizedCrop | None, list[Any], list[BatchAugmentation]]:
    """Divide augmentations into the crop, those of single images, and those of whole batches."""
    crops = [item for item in augmentations if isinstance(item, RandomResizedCrop)]
    of_batches = [item for item in augmentations if isinstance(item, BatchAugmentation)]
    others = (RandomResizedCrop, BatchAugmentation)
    single = [item for item in augmentations if not isinstance(item, others)]
    in_order = [id(item) for item in [*crops, *single, *of_batches]]
    if len(crops) > 1 or in_order != [id(item) for item in augmentations]:
        names = ", ".join(type(item).__name__ for item in augmentations)
        raise ViewfinderError(
            f"The augmentations are {names}, but a RandomResizedCrop of viewfinder's comes first "
            "and there is one at most, and those of whole batches come last. "
            "Change their order in conf/augment/."
        )
    return (crops[0] if crops else None), single, of_batches


def _around_resize(single: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Divide augmentations of single images into those before the resize and after it."""
    sized = [n for n, item in enumerate(single) if type(item).__name__ not in _SIZELESS]
    first_after = sized[-1] + 1 if sized else 0
    return list(single[:first_after]), list(single[first_after:])


def _resize_instances(instances: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    resized = [_resize_mask(mask, target) for mask in instances]
    return np.array(resized, np.uint8).reshape(len(instances), *target[::-1])


def _resize_mask(mask: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask, target, interpolation=cv2.INTER_NEAREST), np.uint8)
