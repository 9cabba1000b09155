"""The options of ``conf/augment/``, ready to be drawn on a data set's training images."""

import os
from pathlib import Path
from statistics import median

from viewfinder.config import augmentation_options, compose_augmentation
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.report.augmentations import Column, show_augmentations
from viewfinder.errors import ViewfinderError
from viewfinder.instantiation import build_augmentations
from viewfinder.process import importing

_AS_THEY_ARE = "none"  # the option that changes nothing
_LEAST_SIDE, _MOST_SIDE = 32, 352  # pixels


def show_options(split: SplitFile, project: Path) -> tuple[list[Column], list[str]]:
    """Show some images as they are and under each option of ``conf/augment/``.

    Args:
        split: The images.
        project: The checkout.

    Returns:
        Pictures, none if there are no options; and warnings of options that can't be shown.
    """
    options = [name for name in augmentation_options(project) if name != _AS_THEY_ARE]
    if not options:
        return [], []
    size = drawn_size(split)
    transforms: dict[str, Transform] = {}
    refused: dict[str, str] = {}
    for option in options:
        try:
            transforms[option] = build_option(option, size, project)
        except ViewfinderError as error:
            refused[option] = str(error)
    columns, failed = show_augmentations(split, size, transforms)
    refused |= failed
    return columns, [
        f"conf/augment/{option}.yaml is not on the page: {_one_line(reason, project)}"
        for option, reason in sorted(refused.items())
    ]


def build_option(option: str, size: tuple[int, int], project: Path) -> Transform:
    """Build an option of ``conf/augment/``.

    Args:
        option: Its name.
        size: Height and width that it ends at, pixels.
        project: The checkout.

    Raises:
        ViewfinderError: If there is no such option, or it can't be composed or built.
    """
    config = compose_augmentation(option, size, project)
    with importing():  # of Albumentations, which imports PyTorch
        augmentations = build_augmentations(config)
    return Transform(size, "area", list(augmentations.values()))


def drawn_size(split: SplitFile) -> tuple[int, int]:
    """Return height and width in the shape of the median image, as a model may take it."""
    width, height = (median(split.table.column(side).to_pylist()) for side in ("width", "height"))
    longest = max(width, height)
    scale = min(max(longest, _LEAST_SIDE), _MOST_SIDE) / longest
    return max(1, round(height * scale)), max(1, round(width * scale))


def _one_line(reason: str, project: Path) -> str:
    """Return a reason as it is the same in every checkout."""
    return " ".join(reason.replace(f"{project}{os.sep}", "").split())
