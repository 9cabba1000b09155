"""JPEG decoders, photo after photo on one core: images a second of processor time."""

import argparse
import io
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
import torch
from photos import photo
from PIL import Image
from rounds import print_surroundings
from torchvision.io import ImageReadMode, decode_jpeg

from viewfinder.data.loading.decode import decode_image, decode_roughly
from viewfinder.process import keep_freed_memory

Decode = Callable[[bytes], object]


def _pillow(content: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(content)))


def _pillow_draft(content: bytes) -> object:
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (image.width // 2, image.height // 2))
    return np.asarray(image)


def _torchvision(content: bytes) -> object:
    # A copy, as from a view of a file: tensors are made of memory that may be written.
    return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)


DECODERS: dict[str, Decode] = {
    "OpenCV": lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB),
    "simplejpeg": simplejpeg.decode_jpeg,
    "torchvision": _torchvision,
    "Pillow": _pillow,
    "OpenCV, half the scale": lambda content: cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_2
    ),
    "Pillow, half the scale (draft)": _pillow_draft,
    "viewfinder, exact": lambda content: decode_image(content, "photo"),
    "viewfinder, where augmentations resample": lambda content: decode_roughly(content, "photo"),
}


def _rate(decode: Decode, contents: list[bytes]) -> float:
    start = time.process_time()
    for content in contents:
        decode(content)
    return len(contents) / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    keep_freed_memory()
    print_surroundings("opencv-python-headless", "simplejpeg", "torchvision", "pillow")
    contents = [photo(number) for number in range(options.images)]
    rates: dict[str, list[float]] = {name: [] for name in DECODERS}
    for _ in range(options.rounds):
        for name, decode in DECODERS.items():
            rates[name].append(_rate(decode, contents))
    print("\n| decoder | images/s of processor time |\n|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):,.0f} |")


if __name__ == "__main__":
    main()
