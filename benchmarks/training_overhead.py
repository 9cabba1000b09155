"""What the training stage costs beside a bare PyTorch loop: same network, batches and optimizer.

Lightning runs with all that a training has: callbacks, checkpoints, metrics of a validation pass
and a logger that writes to MLflow. The bare loop has none of them. Both take their batches from
memory, in turns, and a step lasts from one batch asked for to the next.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch.utils.data import DataLoader

from viewfinder import tracking
from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.data.loading.dataset import Batch
from viewfinder.tasks.base import VisionTask
from viewfinder.training.fit import fit

PROJECT = Path(__file__).parents[1]
CLASSES = [str(digit) for digit in range(10)]
NETWORKS = {
    "28x28 CNN": ["image.size=[28,28]", "loader.batch_size=128"],
    "ResNet-18 at 224": [
        "model=timm_classifier",
        "model.name=resnet18",
        "image.size=[224,224]",
        "loader.batch_size=16",
    ],
}


class Clock:
    """Gives the same batch again and again, and notes when it was asked for."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch = batch
        self.steps = steps
        self.times: list[float] = []

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.steps):
            self.times.append(time.perf_counter())
            yield self.batch

    def step_seconds(self) -> list[float]:
        """Return the seconds between two batches, without the first steps, which warm up."""
        pairs = zip(self.times, self.times[1:], strict=False)
        return [after - before for before, after in pairs][3:]


class Batches(pl.LightningDataModule):
    """One clock for training, one batch for validation."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.batch_size = len(clock.batch["id"])
        self.transform = SimpleNamespace(size=tuple(clock.batch["image"].shape[-2:]))
        self.splits = {
            "train": range(clock.steps * self.batch_size),
            "val": range(self.batch_size),
        }

    def train_dataloader(self) -> Clock:
        """Return the clock."""
        return self.clock

    def val_dataloader(self) -> DataLoader[Any]:
        """Return one batch."""
        batches: Any = [self.clock.batch]
        return DataLoader(batches, collate_fn=lambda items: items[0])


def main() -> None:
    """Print the ratio of the two for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--seconds", type=float, default=10, help="length of a turn (default 10)")
    options = parser.parse_args()
    print("network            bare, steps/s  viewfinder, steps/s  ratio")
    for name, overrides in NETWORKS.items():
        bare, ours = measure(overrides, options.rounds, options.seconds)
        print(f"{name:<18} {1 / bare:>13.1f} {1 / ours:>20.1f} {bare / ours:>6.2f}")


def measure(overrides: list[str], rounds: int, seconds: float) -> tuple[float, float]:
    """Return the median seconds a step of the bare loop and of ours."""
    config = compose_config([*overrides, "trainer.max_epochs=1"], PROJECT)
    batch = random_batch(config.loader.batch_size, tuple(config.image.size))
    trial = Clock(batch, 8)
    train_bare(build_task(config, CLASSES), trial)
    steps = max(10, round(seconds / statistics.median(trial.step_seconds())))
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):
        clock = Clock(batch, steps)
        train_bare(build_task(config, CLASSES), clock)
        bare += clock.step_seconds()
        clock = Clock(batch, steps)
        train_with_lightning(config, clock)
        ours += clock.step_seconds()
    return statistics.median(bare), statistics.median(ours)


def random_batch(size: int, shape: tuple[int, int]) -> Batch:
    """Return a batch as the loader gives it."""
    return {
        "id": [str(index) for index in range(size)],
        "image": torch.randint(0, 256, (size, 3, *shape), dtype=torch.uint8),
        "label": torch.randint(0, len(CLASSES), (size,)),
    }


def train_bare(task: VisionTask, clock: Clock) -> None:
    """Train as a tutorial does."""
    assert task.make_optimizer is not None
    optimizer = task.make_optimizer(task.model.parameters())
    task.train()
    for batch in clock:
        optimizer.zero_grad()
        logits = task.model(task.normalize(batch["image"]))
        torch.nn.functional.cross_entropy(logits, batch["label"]).backward()
        optimizer.step()


def train_with_lightning(config: Any, clock: Clock) -> None:
    """Train as the training stage does."""
    task = build_task(config, CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        with tracking.open_run(task="benchmark", name="overhead", run_id=None, tags={}) as run:
            fit(
                task,
                Batches(clock),  # type: ignore[arg-type]
                instantiate(config.trainer, _partial_=True, _convert_="all"),
                state=Path(folder),
                resume_from=None,
                logger=run.logger(),
            )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as store:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}/mlflow.db"
        main()
