"""Everything there is to see inside a trained network, written to a folder."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from viewfinder.errors import ViewfinderError
from viewfinder.explain.subject import Subject
from viewfinder.tasks import VisionTask

if TYPE_CHECKING:
    from viewfinder.explain.layer_table import LayerRow

Part = Literal["heatmaps", "activations", "filters", "layers", "kernels"]
PARTS: tuple[Part, ...] = get_args(Part)


def look_inside(
    task: VisionTask,
    subjects: Sequence[Subject],
    folder: Path,
    *,
    name: str,
    layer: str | None = None,
    batch_size: int = 32,
    parts: Collection[Part] = PARTS,
) -> "list[LayerRow]":
    """Look into a trained network and write what is seen.

    Args:
        task: The trained task.
        subjects: Images, all of one size; the first one is also taken where one suffices.
        folder: An existing folder.
        name: What to call the network in titles.
        layer: The layer of the heatmaps; None takes the last one with feature maps.
        batch_size: Images in the batch whose memory is reckoned.
        parts: What to write: ``heatmaps`` (heatmaps.png), ``activations`` (activations/,
            silent_channels.csv and .png), ``filters`` (filters.png, kernels_first_layer.png),
            ``layers`` (layers.csv) and ``kernels`` (lecture_kernels.png).

    Returns:
        The layer table, if it was asked for.

    Raises:
        ViewfinderError: If there is no image, or the network has no such layer.
    """
    if not subjects:
        raise ViewfinderError("There is no image to look into the network with. Give one or more.")
    first = subjects[0]
    if "heatmaps" in parts:
        write_heatmaps(folder / "heatmaps.png", task, subjects, name=name, layer=layer)
    if "activations" in parts:
        _write_activations(task, first, folder)
    channels, size = int(first.image.shape[0]), (first.image.shape[1], first.image.shape[2])
    if "filters" in parts:
        from viewfinder.explain.filters import draw_filters, exciting_pictures
        from viewfinder.explain.first_kernels import draw_kernels

        draw_kernels(folder / "kernels_first_layer.png", task)
        draw_filters(folder / "filters.png", exciting_pictures(task, size, channels))
    rows: list[LayerRow] = []
    if "layers" in parts:
        from viewfinder.explain.layer_listing import write_layers
        from viewfinder.explain.layer_table import layer_table

        rows = layer_table(task, size, channels)
        write_layers(folder / "layers.csv", rows, batch_size)
    if "kernels" in parts:
        from viewfinder.explain.lecture_kernels import draw_lecture_kernels

        draw_lecture_kernels(folder / "lecture_kernels.png", first.pixels, subject=first.name)
    return rows


def write_heatmaps(
    path: Path,
    task: VisionTask,
    subjects: Sequence[Subject],
    *,
    name: str,
    layer: str | None = None,
) -> None:
    """Draw where the network looks.

    Args:
        path: The PNG file to write.
        task: The trained task.
        subjects: Images, all of one size.
        name: What to call the network in the title.
        layer: The layer of the heatmaps; None takes the last one with feature maps.

    Raises:
        NoFeatureMapsError: If the network has no layer with feature maps.
        ViewfinderError: If it has no layer of that name.
    """
    from viewfinder.explain.class_activation import explain_image
    from viewfinder.explain.heatmaps import draw_heatmaps
    from viewfinder.progress import progress

    with progress(subjects, "heatmaps", len(subjects)) as each:
        explanations = [explain_image(task, subject.image, layer) for subject in each]
    draw_heatmaps(
        path,
        subjects,
        explanations,
        task.classes,
        heading=f"{name}: where the network looks",
    )


def _write_activations(task: VisionTask, subject: Subject, folder: Path) -> None:
    from viewfinder.explain.activations import (
        read_activations,
        write_activations,
        write_silent_channels,
    )

    layers = read_activations(task, subject.image)
    if not layers:
        raise ViewfinderError(
            f"The network {type(task.model).__name__} has no layer with feature maps, so it has no "
            "activations to draw. Leave them out with --only heatmaps, filters, layers or kernels."
        )
    (folder / "activations").mkdir()
    write_activations(folder / "activations", layers, subject=subject.name)
    write_silent_channels(folder, layers)
