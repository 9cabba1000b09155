"""``viewfinder explain EXPERIMENT [IMAGE …]``: a look inside a trained network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from viewfinder.errors import ViewfinderError
from viewfinder.stages.pictures import find_pictures
from viewfinder.workspace import project_dir

if TYPE_CHECKING:
    from viewfinder.explain import Cam, Part, Subject

_FILTER_LAYERS = 4


def main(
    experiment: str,
    images: Sequence[str] = (),
    layer: str | None = None,
    cams: Sequence[str] = (),
    count: int = 8,
    batch: int = 32,
    filters: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> None:
    """Write ``reports/<experiment>/explain/`` and print the layer table.

    Args:
        experiment: An experiment whose trained model lies in ``models/``.
        images: Files of pictures, or folders of them; without any, images of the test split.
        layer: The layer of the heatmaps; None takes the last one with feature maps.
        cams: Their methods; without any, those that fit the task.
        count: How many images of the test split.
        batch: Images in the batch whose memory is reckoned.
        filters: Of how many convolutions to show filters, or of which, by name; empty for 4.
        only: Which parts to write; None for all.

    Raises:
        ViewfinderError: If there is no such model, a picture can't be read, or the network has no
            such layer.
    """
    for name, value in (("--count", count), ("--batch", batch)):
        if value < 1:
            raise ViewfinderError(f"{name} is {value}; expected 1 or more.")
    shown = _filter_layers(filters)
    project = project_dir()
    folder = project / "models" / experiment
    _check_model(folder)
    paths = find_pictures(images)

    from rich.console import Console

    from viewfinder.explain import Choices, look_inside
    from viewfinder.explain.layer_listing import printed_layers
    from viewfinder.outputs import new_folder
    from viewfinder.stages.trained import load_task

    task, config = load_task(folder)
    size = tuple(config.image.get("test_size") or config.image.size)
    subjects = (
        _pictures(paths, size, config.image.interpolation, config.image.channels)
        if paths
        else _test_images(folder, project, count)
    )
    with new_folder(project / "reports" / experiment / "explain") as draft:
        rows = look_inside(
            task,
            subjects,
            draft,
            name=experiment,
            parts=cast("Sequence[Part]", only) if only else None,
            choices=Choices(
                layer=layer,
                cams=cast("Sequence[Cam]", cams),
                filters=shown,
                batch_size=batch,
            ),
        )
    console = Console(highlight=False)
    if rows:
        console.print(printed_layers(rows, batch, title=f"Layers of {experiment}"))
    print(f"Pictures and tables: reports/{experiment}/explain/")


def _filter_layers(words: Sequence[str]) -> int | Sequence[str]:
    """Tell a number of convolutions from their names."""
    numbers = [int(word) for word in words if word.lstrip("-").isdecimal()]
    if not words:
        return _FILTER_LAYERS
    if not numbers:
        return words
    if len(words) > 1 or numbers[0] < 1:
        raise ViewfinderError(
            f"--filters is {' '.join(words)}; expected one number from 1 on, or names of layers."
        )
    return numbers[0]


def _check_model(folder: Path) -> None:
    if (folder / "model.json").is_file():
        return
    from viewfinder.errors import did_you_mean

    trained = sorted(path.parent.name for path in folder.parent.glob("*/model.json"))
    known = f"There are {', '.join(trained)}." if trained else "None was trained yet."
    raise ViewfinderError(
        f"There is no trained model of {folder.name!r}: models/{folder.name} is missing. {known}"
        f"{did_you_mean(folder.name, trained)} Run `dvc repro train@{folder.name}`."
    )


def _pictures(
    paths: Sequence[Path], size: tuple[int, ...], interpolation: str, channels: int
) -> "list[Subject]":
    from viewfinder.data.loading.transforms import Interpolation, Transform
    from viewfinder.explain import picture_subject

    height, width = size
    transform = Transform((height, width), cast(Interpolation, interpolation), channels=channels)
    return [picture_subject(path, transform) for path in paths]


def _test_images(folder: Path, project: Path, count: int) -> "list[Subject]":
    """Return images spread evenly through the test split."""
    from viewfinder.evaluation.selection import even_positions
    from viewfinder.explain import subjects_of_batch
    from viewfinder.stages.trained import open_trained

    data = open_trained(folder, project).data
    rows = even_positions(len(data.splits["test"]), count)
    return subjects_of_batch(data.images("test", rows))
