"""Training steps with freed memory kept, as ``viewfinder`` runs, and with it given back."""

import argparse
import multiprocessing
from multiprocessing.connection import Connection

import timm
import torch
from rounds import Contestant, print_ratios, print_surroundings, race
from torch.nn.functional import cross_entropy

from viewfinder.process import keep_freed_memory

CLASSES = 10


def training(model: str, side: int, batch_size: int, steps: int, *, kept: bool) -> Contestant:
    """Return some steps of a training in a process of its own, which waits between the rounds."""
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    arguments = (far, model, side, batch_size, steps, kept)
    context.Process(target=_train_on_demand, args=arguments, daemon=True).start()

    def run() -> int:
        near.send(True)
        images: int = near.recv()
        return images

    return run


def _train_on_demand(
    pipe: Connection, name: str, side: int, batch_size: int, steps: int, kept: bool
) -> None:
    if kept:
        keep_freed_memory()
    model = timm.create_model(name, num_classes=CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(batch_size, 3, side, side).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch_size,))
    while pipe.recv():
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
        pipe.send(batch_size * steps)


def main() -> None:
    """Print the table of each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet18", "mobilenetv3_small_100"])
    parser.add_argument("--side", type=int, default=128, help="of the images, pixels")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_surroundings("torch", "timm")
    for model in options.models:
        sizes = (model, options.side, options.batch_size, options.steps)
        print(f"{model}, images of {options.side} x {options.side} pixels; {options}")
        contestants = {
            "kept": training(*sizes, kept=True),
            "given back": training(*sizes, kept=False),
        }
        print_ratios(race(contestants, options.rounds), "kept")


if __name__ == "__main__":
    main()
