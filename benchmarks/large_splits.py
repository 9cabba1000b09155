"""What the number of images costs: an idle `dvc repro`, and a loader worker's own memory.

Two checkouts hold a data set each, one with few images and one with many, as two DVC stages with a
training's dependencies. `dvc repro` has nothing to do in either.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from photos import photo
from rounds import print_surroundings
from splits import write_labelled

SIDE = (24, 32)
STAGES = """\
stages:
  split:
    cmd: {python} {script} --write {count}
    outs: [data/splits/many]
  train:
    cmd: {python} -c "open('model', 'w').write('trained')"
    deps: [data/splits/many/train]
    outs: [model]
"""


def images(count: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield ids, images and classes; 16 pictures in turn."""
    contents = [photo(number, *SIDE) for number in range(16)]
    for number in range(count):
        yield f"folder/{number:07d}.jpg", contents[number % 16], number % 10


def checkout(folder: Path, count: int) -> Path:
    """Make a checkout and run its pipeline once."""
    folder.mkdir()
    stages = STAGES.format(python=sys.executable, script=Path(__file__).resolve(), count=count)
    (folder / "dvc.yaml").write_text(stages)
    for words in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(words, cwd=folder, check=True)
    return folder


def idle_seconds(folder: Path) -> float:
    """Return how long `dvc repro` takes with nothing to do."""
    start = time.perf_counter()
    done = subprocess.run(["dvc", "repro"], cwd=folder, check=True, capture_output=True, text=True)
    assert "up to date" in done.stdout, done.stdout
    return time.perf_counter() - start


def worker_memory(folder: Path) -> int:
    """Return the bytes that a worker wrote for itself alone, after it went through all images.

    Pages of the split files are not among them: the system keeps one copy for all processes, and
    takes it back when memory is short.
    """
    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.data.loading.views import ClassLabel

    data = VisionDataModule(
        dataset="many",
        view=ClassLabel(),
        size=SIDE,
        batch_size=100,
        num_workers=1,
        splits=("train",),
        project=folder,
    )
    batches = iter(data.train_dataloader())
    for _ in batches:
        pass
    (worker,) = psutil.Process().children()
    lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("Private_Dirty:"))
    return 1024 * int(kilobytes)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        classes = [f"class_{number}" for number in range(10)]
        write_labelled(Path(), "many", images(options.write), classes, SIDE)
        return
    if options.memory:
        print(worker_memory(options.memory))
        return
    print_surroundings("dvc", "torch", "pyarrow")
    with tempfile.TemporaryDirectory() as name:
        folders = {
            count: checkout(Path(name) / str(count), count) for count in (options.few, options.many)
        }
        seconds: dict[int, list[float]] = {count: [] for count in folders}
        for _ in range(options.rounds):
            for count, folder in folders.items():
                seconds[count].append(idle_seconds(folder))
        memory = {
            count: int(subprocess.check_output([sys.executable, __file__, "--memory", str(folder)]))
            for count, folder in folders.items()
        }
    print("\n| images | idle `dvc repro`, s | worker's own memory, MB |\n|---|---|---|")
    for count in folders:
        print(
            f"| {count:,} | {statistics.median(seconds[count]):.2f} | {memory[count] / 1e6:.1f} |"
        )
    growth = (memory[options.many] - memory[options.few]) / (options.many - options.few)
    print(f"\nA worker's memory grows by {growth:.0f} bytes an image.")


if __name__ == "__main__":
    main()
