"""Small crops around handwritten digits to train on, and whole scenes to test on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.sources.digit_scenes import (
    JPEG_QUALITY,
    Scene,
    SceneStyle,
    annotate_scene,
    draw_scene,
    scene_categories,
)
from viewfinder.data.sources.zip_writer import write_zip

_SEEN = 0.75
_ANYWHERE = 0.4


def write_digit_crops(
    folder: Path,
    *,
    seed: int,
    counts: Mapping[Split, int],
    size: int,
    digits: tuple[int, int],
    digit_size: tuple[int, int],
    crop: int,
    shift: int,
) -> None:
    """Write ``crops.zip`` into ``folder``: JPEG images and COCO annotations for each split.

    The images of train and val are crops of scenes, one a scene; those of test are the scenes of
    ``write_digit_scenes`` with the same arguments.

    Args:
        folder: Where to write the archive.
        seed: Seed of the whole data set.
        counts: Number of images of each split.
        size: Side of the square scenes, pixels.
        digits: Fewest and most digits in a scene.
        digit_size: Smallest and largest height of a digit, pixels.
        crop: Side of the square crops, pixels.
        shift: How far from a digit's centre a crop's centre may lie, pixels; some crops are cut
            anywhere.
    """
    low, high = digits
    smallest, largest = digit_size
    style = SceneStyle(size, (low, high), (smallest, largest))
    write_zip(folder / "crops.zip", _members(seed, counts, style, crop, shift))


def cut_crop(scene: Scene, crop: int, shift: int, rng: np.random.Generator) -> Scene:
    """Cut a crop out of a scene; digits of which less than three quarters are left are no objects.

    Args:
        scene: The scene.
        crop: Side of the crop, pixels.
        shift: Largest distance of its centre from a digit's along each axis, pixels.
        rng: What the place is drawn from.
    """
    room = scene.image.shape[0] - crop
    rows, columns = np.nonzero(scene.masks[rng.integers(len(scene.labels))])
    centre = np.array([rows.min() + rows.max() + 1, columns.min() + columns.max() + 1]) // 2
    near = centre - crop // 2 + rng.integers(-shift, shift + 1, 2)
    anywhere = rng.integers(0, room + 1, 2)
    top, left = (anywhere if rng.random() < _ANYWHERE else near.clip(0, room)).tolist()
    window = (slice(top, top + crop), slice(left, left + crop))
    masks = scene.masks[:, *window]
    seen = masks.sum(axis=(1, 2)) >= _SEEN * scene.masks.sum(axis=(1, 2))
    labels = [label for label, kept in zip(scene.labels, seen, strict=True) if kept]
    return Scene(np.ascontiguousarray(scene.image[window]), labels, masks[seen])


def _members(
    seed: int, counts: Mapping[Split, int], style: SceneStyle, crop: int, shift: int
) -> Iterator[tuple[str, bytes]]:
    for split in SPLITS:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(counts[split]):
            scene = draw_scene(seed, split, index, style)
            if split != "test":
                rng = np.random.default_rng([seed, SPLITS.index(split), index, crop])
                scene = cut_crop(scene, crop, shift, rng)
            name, side = f"{index:05d}.jpg", len(scene.image)
            images.append({"id": index, "file_name": name, "width": side, "height": side})
            annotations += annotate_scene(scene, index, len(annotations) + 1)
            _, jpeg = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            yield f"{split}/{name}", jpeg.tobytes()
        document = {
            "images": images,
            "annotations": annotations,
            "categories": scene_categories(),
        }
        yield f"annotations/{split}.json", json.dumps(document).encode()
