"""Training images as they are and under augmentations, for the page."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.report.samples import (
    AS_IT_IS,
    SAMPLE_COLUMNS,
    augmented,
    choose_rows,
    draw_sample,
    read_sample,
)
from viewfinder.data.report.sheet import Shown, class_text
from viewfinder.data.report.thumbnails import as_uri
from viewfinder.drawing.mosaic import fit_size
from viewfinder.errors import ViewfinderError

_SAMPLES, _SIDE = 4, 176
_SEED = 0


@dataclass(frozen=True)
class Column:
    """The same images under one augmentation.

    Attributes:
        name: Of the augmentation.
        pictures: The images, with their annotations drawn.
        for_whole_images: Whether boxes and masks do not follow it.
    """

    name: str
    pictures: list[Shown]
    for_whole_images: bool


def show_augmentations(
    split: SplitFile, size: tuple[int, int], augmentations: Mapping[str, Transform]
) -> tuple[list[Column], dict[str, str]]:
    """Show some images of a split as they are, and once under each augmentation.

    Args:
        split: The images.
        size: Height and width that the augmentations end at, pixels.
        augmentations: What is shown beside the images as they are, by name.

    Returns:
        The images as they are and under each augmentation that can be applied; and of the others,
        by name, why not.
    """
    plain, as_it_is = Transform(size, "area"), Column(AS_IT_IS, [], for_whole_images=False)
    columns = {
        name: Column(name, [], each.for_whole_images) for name, each in augmentations.items()
    }
    refused: dict[str, str] = {}
    for index in choose_rows(split, _SAMPLES, _SEED):
        row = split.row(index, SAMPLE_COLUMNS)
        sample = read_sample(row)
        shown = Shown(None, row["id"], None, class_text(row, split.info.classes))
        as_it_is.pictures.append(replace(shown, uri=_uri(plain(sample), size)))
        for name in list(columns):
            try:
                after = augmented(sample, name, augmentations[name], (_SEED, 0, index))
            except ViewfinderError as error:
                refused[name] = str(error)
                del columns[name]
                continue
            columns[name].pictures.append(replace(shown, uri=_uri(after, size)))
    return [as_it_is, *columns.values()], refused


def _uri(sample: Sample, size: tuple[int, int]) -> str:
    return as_uri(draw_sample(sample, fit_size(*size, _SIDE)))
