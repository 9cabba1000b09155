"""The same training samples as they are and under augmentations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Patch

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
from viewfinder.data.schema import IGNORE
from viewfinder.drawing.canvas import HEADER, MARGIN, Canvas
from viewfinder.drawing.mosaic import fit_size
from viewfinder.drawing.palette import FAINT, class_colour
from viewfinder.drawing.text import shorten

_SAMPLES, _DRAWS = 6, 5
_SIDE, _GAP = 176, 6
_CAPTION, _LEGEND_ROW, _LEGEND_COLUMN = 30, 24, 125
_LEAST_WIDTH = 560
_MOST_IN_LEGEND = 12


def draw_augmentations(
    path: Path,
    split: SplitFile,
    size: tuple[int, int],
    augmentations: Mapping[str, Transform],
    *,
    heading: str,
    seed: int,
) -> None:
    """Draw some samples of a split, one a row: as they are, then under each augmentation.

    Boxes, masks and instances are drawn as the augmentation leaves them, so that one which does
    not fit the data is seen before hours are spent on it.

    Args:
        path: The PNG file to write.
        split: The samples.
        size: Height and width of the model's input, pixels.
        augmentations: What is shown beside the samples as they are, by name.
        heading: Title of the picture.
        seed: Seed of the choice of samples and of the augmentations.

    Raises:
        ViewfinderError: If an augmentation can't be applied.
    """
    chosen = choose_rows(split, _SAMPLES, seed)
    draws = max(2, _DRAWS // max(1, len(augmentations)))
    names = [AS_IT_IS, *(name for name in augmentations for _ in range(draws))]
    drawn = {"objects", "mask"} & set(split.table.column_names)
    sheet = _Sheet(
        fit_size(*size, _SIDE),
        rows=len(chosen) if augmentations else 1,
        columns=len(names) if augmentations else len(chosen),
        classes=len(split.info.classes) if drawn else 0,
        heading=heading,
    )
    sheet.title(names)
    seen: set[int] = set()
    for number, index in enumerate(chosen):
        row = split.row(index, SAMPLE_COLUMNS)
        sample = read_sample(row)
        seen |= _classes(sample)
        pictures = [Transform(size, "area")(sample)]
        for name, transform in augmentations.items():
            pictures += [
                augmented(sample, name, transform, (seed, draw, index)) for draw in range(draws)
            ]
        if not augmentations:
            sheet.show(0, number, pictures[0])
            continue
        for column, picture in enumerate(pictures):
            sheet.show(number, column, picture)
        sheet.caption(number, row["id"], [split.info.classes[i] for i in _labels(row)])
    sheet.legend([(split.info.classes[i], i) for i in sorted(seen) if i < len(split.info.classes)])
    sheet.write(path)


def _labels(row: Mapping[str, Any]) -> list[int]:
    """Return the classes of the image as a whole, which are written and not drawn."""
    return [*(row.get("labels") or ()), *([] if row.get("label") is None else [row["label"]])]


def _classes(sample: Sample) -> set[int]:
    """Return the classes that are drawn."""
    in_mask = set() if sample.mask is None else set(np.unique(sample.mask).tolist()) - {IGNORE}
    return in_mask | set(sample.labels.tolist())


class _Sheet:
    """A grid of pictures of one size with a title a column and a caption a row."""

    def __init__(
        self, tile: tuple[int, int], *, rows: int, columns: int, classes: int, heading: str
    ) -> None:
        self._tile = tile
        self._width = max(_LEAST_WIDTH, 2 * MARGIN + columns * (tile[1] + _GAP) - _GAP)
        self._legend_columns = self._width // _LEGEND_COLUMN
        legend_rows = -(-min(classes, _MOST_IN_LEGEND) // self._legend_columns)
        legend = (legend_rows + 1) * _LEGEND_ROW if classes else 0
        self._height = HEADER + rows * (tile[0] + _CAPTION) + legend
        self._canvas = Canvas(self._height, self._width, heading=heading)

    def title(self, names: Sequence[str]) -> None:
        for column, name in enumerate(names):
            if column == 0 or name != names[column - 1]:
                self._canvas.write(self._left(column), HEADER - 20, name, points=9.5)

    def show(self, row: int, column: int, sample: Sample) -> None:
        self._canvas.show(draw_sample(sample, self._tile), self._left(column), self._top(row))

    def caption(self, row: int, name: str, labels: Sequence[str]) -> None:
        text = shorten(name, 90, keep_end=True)
        text = f"{', '.join(labels)}   {text}" if labels else text
        below = self._top(row) + self._tile[0] + 5
        self._canvas.write(MARGIN, below, text, points=8, colour=FAINT)

    def legend(self, classes: Sequence[tuple[str, int]]) -> None:
        patches = [
            Patch(color=class_colour(label), label=shorten(name, 20))
            for name, label in classes[:_MOST_IN_LEGEND]
        ]
        if patches:
            self._canvas.figure.legend(
                handles=patches,
                loc="lower center",
                ncols=min(len(patches), self._legend_columns),
                frameon=False,
                fontsize=9,
                handlelength=1.2,
                handleheight=1.2,
            )

    def write(self, path: Path) -> None:
        self._canvas.save(path)

    def _top(self, row: int) -> int:
        return HEADER + row * (self._tile[0] + _CAPTION)

    def _left(self, column: int) -> int:
        return MARGIN + column * (self._tile[1] + _GAP)
