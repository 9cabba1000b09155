"""Photos for the benchmarks, made by code: smooth shapes, texture and grain."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def photo(seed: int, height: int = 375, width: int = 500) -> bytes:
    """Return one picture as JPEG; its size is that of a photo of its dimensions, about 60 kB."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    # Natural images hold the same energy in every octave.
    for octave in range(1, 8):
        cells = (3 * 2**octave * height // width + 1, 3 * 2**octave)
        noise = generator.normal(size=(*cells, 3)).astype(np.float32)
        noise = 0.6 * noise.mean(axis=2, keepdims=True) + 0.4 * noise
        pixels += 60 / octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        center = (int(generator.integers(width)), int(generator.integers(height)))
        color = tuple(float(value) for value in generator.normal(scale=70, size=3))
        axes = tuple(int(value) for value in generator.integers(20, 120, 2))
        shape = np.zeros_like(pixels)
        cv2.ellipse(shape, center, axes, float(generator.integers(180)), 0, 360, color, -1)
        pixels += shape
    image = np.clip(pixels + 120, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_photos(folder: Path, count: int, size: tuple[int, int], classes: int = 10) -> None:
    """Write photos of one height and width into one folder a class."""
    for number in range(count):
        path = folder / f"class_{number % classes}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number, *size))
