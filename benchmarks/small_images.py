"""Small images kept in memory: ours with `cache: ram` against torchvision's way, item by item.

Both start from decoded images in memory, shift them by up to 4 pixels, mirror half of them, and
end with a normalised float32 batch in the training process.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from normalise import normalise
from numpy.typing import NDArray
from photos import photo
from PIL import Image
from rounds import Contestant, print_ratios, print_surroundings, race
from splits import write_labelled

SIDE = 32
MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
CLASSES = [f"class_{number}" for number in range(10)]


def small_images(count: int) -> NDArray[np.uint8]:
    """Return pieces of photos, uint8 [N, 32, 32, 3]."""
    generator = np.random.default_rng(0)
    photos = [np.asarray(Image.open(io.BytesIO(photo(number)))) for number in range(20)]
    rows, columns = (generator.integers(0, side - SIDE, count) for side in (375, 500))
    return np.stack(
        [
            photos[number % len(photos)][row : row + SIDE, column : column + SIDE]
            for number, (row, column) in enumerate(zip(rows, columns, strict=True))
        ]
    )


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode one image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def ours(project: Path, batch_size: int, workers: int) -> Contestant:
    """Return one epoch of our loader."""
    from viewfinder.data.loading.batch_augmentation import Flip, Shift
    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.data.loading.views import ClassLabel

    data = VisionDataModule(
        dataset="small",
        view=ClassLabel(),
        size=(SIDE, SIDE),
        augmentations={"shift": Shift(padding=4), "flip": Flip()},
        batch_size=batch_size,
        num_workers=workers,
        cache="ram",
        splits=("train",),
        project=project,
    )
    start = time.perf_counter()
    loader = data.train_dataloader()
    print(f"decoding all images once, {workers} workers: {time.perf_counter() - start:.1f} s")
    return lambda: sum(len(normalise(batch["image"], MEAN, STD)) for batch in loader)


class InMemory(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Images in an array, turned into Pillow's one at a time, as torchvision's CIFAR10 does."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        from torchvision.transforms import v2

        self.images = images
        self.transform = v2.Compose(
            [
                v2.RandomCrop(SIDE, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), index % len(CLASSES)


def of_torchvision(images: NDArray[np.uint8], batch_size: int, workers: int) -> Contestant:
    """Return one epoch of torchvision's pipeline."""
    loader = torch.utils.data.DataLoader(
        InMemory(images),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda: sum(len(batch) for batch, _ in loader)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_surroundings("torch", "torchvision", "opencv-python-headless")
    images = small_images(options.images)
    named = (
        (f"{number:06d}.jpg", jpeg(pixels), number % len(CLASSES))
        for number, pixels in enumerate(images)
    )
    with tempfile.TemporaryDirectory() as name:
        write_labelled(Path(name), "small", named, CLASSES, (SIDE, SIDE))
        contestants = {
            "viewfinder, no workers": ours(Path(name), options.batch_size, 0),
            f"viewfinder, {options.workers} workers": ours(
                Path(name), options.batch_size, options.workers
            ),
            f"torchvision, {options.workers} workers": of_torchvision(
                images, options.batch_size, options.workers
            ),
        }
        print_ratios(race(contestants, options.rounds), "viewfinder, no workers")


if __name__ == "__main__":
    main()
