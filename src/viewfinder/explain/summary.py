"""What of a look inside is cheap enough to come with every report."""

from collections.abc import Callable
from pathlib import Path

from viewfinder.explain.activations import draw_silent_channels, read_activations
from viewfinder.explain.errors import NothingToDrawError
from viewfinder.explain.first_kernels import draw_kernels
from viewfinder.explain.layer_listing import write_layers
from viewfinder.explain.layer_table import layer_table
from viewfinder.explain.subject import Subject
from viewfinder.outputs import new_file
from viewfinder.tasks import VisionTask


def write_summary(
    task: VisionTask,
    subject: Subject,
    plots: Path,
    tables: Path,
    *,
    size: tuple[int, int],
    batch_size: int,
) -> None:
    """Write ``silent_channels.png``, ``first_kernels.png`` and ``layers.csv``.

    A picture that the network has nothing for is missing afterwards, for a printed reason.

    Args:
        task: The trained task.
        subject: The image whose silent channels are counted.
        plots: Folder of the pictures.
        tables: Folder of the table.
        size: Height and width of the images in the layer table, pixels.
        batch_size: Images in the batch whose memory is reckoned.
    """

    def draw_silent(path: Path) -> None:
        draw_silent_channels(path, read_activations(task, subject.image))

    _draw(plots / "silent_channels.png", draw_silent)
    _draw(plots / "first_kernels.png", lambda path: draw_kernels(path, task))
    channels = int(subject.image.shape[0])
    with new_file(tables / "layers.csv") as path:
        write_layers(path, layer_table(task, size, channels), batch_size)


def _draw(path: Path, draw: Callable[[Path], None]) -> None:
    try:
        with new_file(path) as draft:
            draw(draft)
    except NothingToDrawError as reason:
        path.unlink(missing_ok=True)
        print(f"No {path.name}: {reason}")
