"""From a decoded sample to the model's input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from viewfinder.data.loading.augmentation import Augmentation, Generators, generators
from viewfinder.data.loading.batch_augmentation import BatchAugmentation, uniform
from viewfinder.data.loading.decode import REDUCTIONS, Reduction
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
    Flips and colour changes at the end of the augmentations come after the resize, where there are
    fewer pixels; all other transforms come before it, and those of whole batches at the very end.

    Args:
        size: Height and width of the model's input, pixels.
        interpolation: How pixels are resampled.
        augmentations: Albumentations transforms and, behind them, batch augmentations, in order.
        channels: 1 makes images grey at last, 3 leaves them RGB.

    Attributes:
        before_resize: Whether augmentations see the image before it has the model's input size.
        after_resize: Whether augmentations of single images follow.

    Raises:
        ViewfinderError: If a batch augmentation stands before a transform of single images.
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
        before, after, self._of_batches = _arrange(augmentations)
        self._before = Augmentation(before) if before else None
        self._after = Augmentation(after) if after else None
        self._crop = _smallest_crop(before)
        self.before_resize = bool(before)
        self.after_resize = bool(after)
        self.of_batches = bool(self._of_batches)

    def __call__(self, sample: Sample, seed: Sequence[int] | None = None) -> Sample:
        """Transform one sample.

        Args:
            sample: The decoded sample.
            seed: Numbers that the augmentation is drawn from; None only resizes.
        """
        sample = self.drawn(sample, None if seed is None else self.draw([seed])[0])
        images = sample.image[None]
        if seed is not None and self._of_batches:
            first, epoch, row = (*seed, 0, 0)[:3]
            images = images.copy()
            self.on_batch(images, first, np.array([epoch]), np.array([row]))
        return replace(sample, image=self.grey(images)[0])

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

        Every pixel of the model's input must still be made of one pixel or more. A random resized
        crop is reckoned with at its smallest. Any other augmentation before the resize needs the
        whole image; so does a crop where boxes or masks must follow it exactly. Without a crop they
        follow exactly where the reduction divides the sides.

        Args:
            frame: Height and width of the image, pixels.
            augmented: Whether the image will be augmented.
            annotated: Whether boxes or masks go with it.
        """
        (height, width), needed = frame, self.size
        if augmented and self.before_resize:
            if self._crop is None or annotated:
                return 1
            needed = self._crop.size
            height, width = self._crop.smallest(height, width)
        fitting = [
            reduction
            for reduction in REDUCTIONS
            if height // reduction >= needed[0]
            and width // reduction >= needed[1]
            and not (annotated and (height % reduction or width % reduction))
        ]
        return fitting[-1] if fitting else 1

    def resized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image [H, W, 3] at the model's input size."""
        if image.shape[:2] == self.size:
            return np.ascontiguousarray(image)
        resized = cv2.resize(image, self.size[::-1], interpolation=self.interpolation)
        return np.asarray(resized, np.uint8)

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


@dataclass(frozen=True)
class _Crop:
    """What is known of a random resized crop: its outcome and its smallest part of the image."""

    size: tuple[int, int]
    least_area: float
    ratio: tuple[float, float]

    def smallest(self, height: int, width: int) -> tuple[int, int]:
        """Return the least height and width of a crop; very long images are cut to the ratio."""
        area = self.least_area * height * width
        least, most = self.ratio
        return (
            int(min(height, width / least, (area / most) ** 0.5)),
            int(min(width, height * most, (area * least) ** 0.5)),
        )


def _arrange(
    augmentations: Sequence[Any],
) -> tuple[list[Any], list[Any], list[BatchAugmentation]]:
    """Divide augmentations into those before the resize, after it, and of whole batches."""
    single = [item for item in augmentations if not isinstance(item, BatchAugmentation)]
    if any(isinstance(item, BatchAugmentation) for item in augmentations[: len(single)]):
        names = ", ".join(type(item).__name__ for item in augmentations)
        raise ViewfinderError(
            f"The augmentations are {names}, but those of whole batches come last. "
            "Change their order in conf/augment/."
        )
    sized = [n for n, item in enumerate(single) if type(item).__name__ not in _SIZELESS]
    first_after = sized[-1] + 1 if sized else 0
    return single[:first_after], single[first_after:], list(augmentations[len(single) :])


def _smallest_crop(before: Sequence[Any]) -> _Crop | None:
    """Return the crop, if it is the only augmentation that sees the image's own size."""
    sized = [item for item in before if type(item).__name__ not in _SIZELESS]
    if len(sized) != 1 or type(sized[0]).__name__ != "RandomResizedCrop" or sized[0].p < 1:
        return None
    crop = sized[0]
    height, width = crop.size
    return _Crop((height, width), min(crop.scale), (min(crop.ratio), max(crop.ratio)))


def _resize_instances(instances: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    resized = [_resize_mask(mask, target) for mask in instances]
    return np.array(resized, np.uint8).reshape(len(instances), *target[::-1])


def _resize_mask(mask: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask, target, interpolation=cv2.INTER_NEAREST), np.uint8)
