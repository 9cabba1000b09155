"""Everything there is to see inside a trained network, written to a folder."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from viewfinder.errors import ViewfinderError
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.options import Cam, Choices, Part
from viewfinder.explain.subject import Subject
from viewfinder.tasks import VisionTask

if TYPE_CHECKING:
    from viewfinder.explain.layer_table import LayerRow

_DEFAULT = Choices()


@dataclass(frozen=True)
class _Look:
    """What every part is made from."""

    task: VisionTask
    subjects: Sequence[Subject]
    folder: Path
    name: str
    choices: Choices

    @property
    def first(self) -> Subject:
        return self.subjects[0]

    @property
    def channels(self) -> int:
        return int(self.first.image.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        return self.first.image.shape[1], self.first.image.shape[2]


def look_inside(
    task: VisionTask,
    subjects: Sequence[Subject],
    folder: Path,
    *,
    name: str,
    parts: Collection[Part] | None = None,
    choices: Choices = _DEFAULT,
) -> "list[LayerRow]":
    """Look into a trained network and write what is seen.

    Args:
        task: The trained task.
        subjects: Images, all of one size; the first one is also taken where one suffices.
        folder: An existing folder.
        name: What to call the network in titles.
        parts: What to write: ``heatmaps`` (heatmaps.png), ``activations`` (activations/,
            silent_channels.csv and .png), ``filters`` (filters.png, kernels_first_layer.png),
            ``layers`` (layers.csv) and ``kernels`` (lecture_kernels.png). None writes all but those
            that the network has nothing for, and says which.
        choices: Layers, and the size of the batch.

    Returns:
        The layer table, if it was asked for.

    Raises:
        NothingToDrawError: If the network has nothing for one of the ``parts``.
        ViewfinderError: If there is no image, or the network has no such layer.
    """
    if not subjects:
        raise ViewfinderError("There is no image to look into the network with. Give one or more.")
    look = _Look(task, subjects, folder, name, choices)
    rows: list[LayerRow] = []
    for part, write in _WRITERS.items():
        if parts is not None and part not in parts:
            continue
        try:
            rows += write(look) or ()
        except NothingToDrawError as reason:
            if parts is not None:
                raise NothingToDrawError(
                    f"{reason} Leave out --only {part}: without --only all else is written."
                ) from reason
            print(f"Left out {part}: {reason}")
    return rows


def write_heatmaps(
    path: Path,
    task: VisionTask,
    subjects: Sequence[Subject],
    *,
    name: str,
    layer: str | None = None,
    cams: Sequence[Cam] = (),
) -> None:
    """Draw where the network looks.

    Args:
        path: The PNG file to write.
        task: The trained task.
        subjects: Images, all of one size.
        name: What to call the network in the title.
        layer: The layer of the heatmaps; None takes the last one with feature maps.
        cams: Their methods; without any, those that fit the task.

    Raises:
        NothingToDrawError: If the network has no layer with feature maps.
        ViewfinderError: If it has no layer of that name.
    """
    from viewfinder.explain.class_activation import explain_image
    from viewfinder.explain.heatmaps import draw_heatmaps
    from viewfinder.progress import progress

    with progress(subjects, "heatmaps", len(subjects)) as each:
        explanations = [explain_image(task, subject.image, layer, cams) for subject in each]
    draw_heatmaps(
        path,
        subjects,
        explanations,
        task.classes,
        heading=f"{name}: where the network looks",
    )


def _heatmaps(look: _Look) -> None:
    write_heatmaps(
        look.folder / "heatmaps.png",
        look.task,
        look.subjects,
        name=look.name,
        layer=look.choices.layer,
        cams=look.choices.cams,
    )


def _activations(look: _Look) -> None:
    from viewfinder.explain.activations import (
        read_activations,
        write_activations,
        write_silent_channels,
    )

    layers = read_activations(look.task, look.first.image)
    (look.folder / "activations").mkdir()
    write_activations(look.folder / "activations", layers, subject=look.first.name)
    write_silent_channels(look.folder, layers)


def _filters(look: _Look) -> None:
    from viewfinder.explain.filters import draw_filters, exciting_pictures
    from viewfinder.explain.first_kernels import draw_kernels

    draw_kernels(look.folder / "kernels_first_layer.png", look.task)
    layers = look.choices.filters
    pictures = exciting_pictures(look.task, look.size, look.channels, layers=layers)
    draw_filters(look.folder / "filters.png", pictures)


def _layers(look: _Look) -> "list[LayerRow]":
    from viewfinder.explain.layer_listing import write_layers
    from viewfinder.explain.layer_table import layer_table

    rows = layer_table(look.task, look.size, look.channels)
    write_layers(look.folder / "layers.csv", rows, look.choices.batch_size)
    return rows


def _kernels(look: _Look) -> None:
    from viewfinder.explain.lecture_kernels import draw_lecture_kernels

    path = look.folder / "lecture_kernels.png"
    draw_lecture_kernels(path, look.first.pixels, subject=look.first.name)


_WRITERS: "Mapping[Part, Callable[[_Look], list[LayerRow] | None]]" = {
    "heatmaps": _heatmaps,
    "activations": _activations,
    "filters": _filters,
    "layers": _layers,
    "kernels": _kernels,
}
