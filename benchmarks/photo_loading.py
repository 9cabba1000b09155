"""Photos into batches: ours against torchvision's ImageFolder, timm's loader and the bare decoder.

All crop a random part to 224 x 224 pixels, mirror half of the images and use the same number of
workers. They end with a batch in the training process: normalised float32, or uint8 as it leaves
the workers.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import torch
from normalise import normalise
from photos import write_photos
from rounds import Contestant, print_ratios, print_surroundings, race
from splits import split_of_folder

from viewfinder.data.loading.workers import WorkerType
from viewfinder.process import keep_freed_memory

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ours(
    folder: Path,
    workers: int,
    batch_size: int,
    worker_type: WorkerType = "thread",
    *,
    normalised: bool = True,
) -> Contestant:
    """Return one epoch of our loader."""
    from viewfinder.data.loading.batch_augmentation import Flip
    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.data.loading.random_crop import RandomResizedCrop
    from viewfinder.data.loading.views import ClassLabel

    data = VisionDataModule(
        dataset="photos",
        view=ClassLabel(),
        size=(SIDE, SIDE),
        augmentations={"crop": RandomResizedCrop(), "flip": Flip()},
        batch_size=batch_size,
        num_workers=workers,
        worker_type=worker_type,
        splits=("train",),
        project=folder,
    )
    loader = data.train_dataloader()

    def epoch() -> int:
        images = 0
        for batch in loader:
            if normalised:
                normalise(batch["image"], MEAN, STD)
            images += len(batch["image"])
        return images

    return epoch


def of_torchvision(
    folder: Path, workers: int, batch_size: int, *, normalised: bool = True
) -> Contestant:
    """Return one epoch over an ImageFolder with v2 transforms."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [
        v2.ToImage(),
        v2.RandomResizedCrop(SIDE, antialias=True),
        v2.RandomHorizontalFlip(),
    ]
    if normalised:
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    loader = DataLoader(
        ImageFolder(folder, v2.Compose(steps)),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
    )
    return lambda: _count(images for images, _ in loader)


def of_timm(folder: Path, workers: int, batch_size: int, *, normalised: bool = True) -> Contestant:
    """Return one epoch of timm's own training loader; it normalises in the training process."""
    from timm.data import create_dataset, create_loader

    loader = create_loader(
        create_dataset("", root=str(folder), split="", is_training=True),
        input_size=(3, SIDE, SIDE),
        batch_size=batch_size,
        is_training=True,
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=workers,
        persistent_workers=True,
        device=torch.device("cpu"),
    )
    batches = loader if normalised else loader.loader
    return lambda: _count(images for images, _ in batches)


def _count(batches: Iterable[torch.Tensor]) -> int:
    return sum(len(images) for images in batches)


def bare(contents: list[bytes], workers: int) -> Contestant:
    """Return the decoding of all photos and nothing else, in as many processes."""
    context = multiprocessing.get_context("fork")
    pipes = []
    for number in range(workers):
        near, far = context.Pipe()
        part = contents[number::workers]
        context.Process(target=_decode_on_demand, args=(far, part), daemon=True).start()
        pipes.append(near)

    def decode() -> int:
        for pipe in pipes:
            pipe.send(True)
        return sum(pipe.recv() for pipe in pipes)

    return decode


def _decode_on_demand(pipe: Connection, contents: list[bytes]) -> None:
    cv2.setNumThreads(0)
    while pipe.recv():
        for content in contents:
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        pipe.send(len(contents))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=(375, 500), help="height and width")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = (options.workers, options.batch_size)
    keep_freed_memory()
    print_surroundings("torch", "torchvision", "timm", "simplejpeg", "opencv-python-headless")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        write_photos(folder, options.images, options.size)
        split_of_folder(folder, Path(name), "photos", options.size)
        contents = [path.read_bytes() for path in sorted(folder.glob("*/*.jpg"))]
        kilobytes = sum(map(len, contents)) / len(contents) / 1000
        print(f"photos of {kilobytes:.0f} kB each; {options}")
        contestants = {
            "bare decoder": bare(contents, options.workers),
            "viewfinder, threads": ours(Path(name), *sizes),
            "viewfinder, threads, uint8": ours(Path(name), *sizes, normalised=False),
            "viewfinder, processes": ours(Path(name), *sizes, "process"),
            "torchvision": of_torchvision(folder, *sizes),
            "torchvision, uint8": of_torchvision(folder, *sizes, normalised=False),
            "timm": of_timm(folder, *sizes),
            "timm, uint8": of_timm(folder, *sizes, normalised=False),
        }
        print_ratios(race(contestants, options.rounds), "viewfinder, threads")


if __name__ == "__main__":
    main()
