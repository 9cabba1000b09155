"""Scenes of handwritten digits on coloured textures, with boxes and instance masks.

Every scene is a function of the seed, the split and its index alone, and the handwritten digits
that appear in one split appear in no other.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from viewfinder.data.schema import SPLITS, Split
from viewfinder.data.sources.digits import CLASSES, load_glyphs
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.errors import ViewfinderError

Box = tuple[int, int, int, int]

_POOL_SHARES = (0.7, 0.1, 0.2)
_GLYPH_PIXELS = 64
_MAX_ROTATION_DEGREES = 12.0
_STRETCH = (0.85, 1.15)
_MAX_OVERLAP = 0.15
_PLACEMENT_TRIES = 20
_ATTEMPTS = 1000
_VISIBLE = 0.5
JPEG_QUALITY = 92


@dataclass(frozen=True)
class SceneStyle:
    """What a scene looks like.

    Attributes:
        size: Side of the square image, pixels.
        digits: Fewest and most digits in a scene.
        digit_size: Smallest and largest height of a digit, pixels.
    """

    size: int = 128
    digits: tuple[int, int] = (2, 7)
    digit_size: tuple[int, int] = (24, 44)


@dataclass(frozen=True)
class Scene:
    """One image and what is in it.

    Attributes:
        image: BGR, uint8 [size, size, 3].
        labels: Class of each digit.
        masks: The visible pixels of each digit, bool [digits, size, size].
    """

    image: NDArray[np.uint8]
    labels: list[int]
    masks: NDArray[np.bool_]


@cache
def glyph_pools(seed: int) -> Mapping[Split, NDArray[np.int64]]:
    """Divide the handwritten digits between the splits, class by class.

    Returns:
        For each split the indices of its digits; the three are disjoint.
    """
    _, labels = load_glyphs()
    rng = np.random.default_rng(seed)
    pools: dict[Split, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    for label in range(len(CLASSES)):
        members = rng.permutation(np.flatnonzero(labels == label))
        borders = np.cumsum(np.multiply(_POOL_SHARES, len(members))).astype(int)[:-1]
        for split, part in zip(SPLITS, np.split(members, borders), strict=True):
            pools[split].append(part)
    return {split: np.concatenate(parts) for split, parts in pools.items()}


def draw_scene(seed: int, split: Split, index: int, style: SceneStyle) -> Scene:
    """Draw one scene.

    Args:
        seed: Seed of the whole data set.
        split: The split, which decides the digits to draw from.
        index: Number of the scene within the split.
        style: What the scene looks like.

    Raises:
        ViewfinderError: If the fewest digits do not fit.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    _, glyph_labels = load_glyphs()
    pool = glyph_pools(seed)[split]
    image = _texture(rng, style.size)
    labels: list[int] = []
    masks: list[NDArray[np.bool_]] = []
    boxes: list[Box] = []
    wanted = int(rng.integers(style.digits[0], style.digits[1] + 1))
    for attempt in range(_ATTEMPTS):
        if len(labels) == wanted or (attempt >= wanted and len(labels) >= style.digits[0]):
            break
        glyph = pool[rng.integers(len(pool))]
        alpha = _render(_large_glyphs()[glyph], rng, style)
        box = _find_place(alpha, boxes, rng, style.size)
        if box is None:
            continue
        for mask in masks:
            mask[box[1] : box[3], box[0] : box[2]] &= alpha <= _VISIBLE
        masks.append(_paint(image, alpha, box, rng))
        labels.append(int(glyph_labels[glyph]))
        boxes.append(box)
    if len(labels) < style.digits[0]:
        raise ViewfinderError(
            f"{style.digits[0]} digits of up to {style.digit_size[1]} pixels do not fit into a "
            f"scene of {style.size} x {style.size}. Raise `size`, or lower `digits` or "
            "`digit_size` in the data set's source."
        )
    return Scene(image, labels, np.stack(masks))


@cache
def _large_glyphs() -> NDArray[np.uint8]:
    glyphs, _ = load_glyphs()
    side = (_GLYPH_PIXELS, _GLYPH_PIXELS)
    return np.stack([cv2.resize(glyph, side, interpolation=cv2.INTER_CUBIC) for glyph in glyphs])


def _texture(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Colour noise at two scales, with room left for lighter and darker digits."""
    noise = 56 * rng.random((size // 4, size // 4, 3), np.float32) - 28
    coarse = 115 * rng.random((4, 4, 3), np.float32) + 70
    noise += cv2.resize(coarse, noise.shape[:2], interpolation=cv2.INTER_CUBIC)
    return cv2.convertScaleAbs(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC))


def _render(
    glyph: NDArray[np.uint8], rng: np.random.Generator, style: SceneStyle
) -> NDArray[np.float32]:
    """Size, stretch and rotate a glyph; returns its opacity in [0, 1], cropped to its ink."""
    height = rng.uniform(*style.digit_size)
    width = height * rng.uniform(*_STRETCH)
    angle = rng.uniform(-_MAX_ROTATION_DEGREES, _MAX_ROTATION_DEGREES)
    canvas = int(np.ceil(max(height, width) * 1.3))
    matrix = cv2.getRotationMatrix2D((0, 0), angle, 1.0)
    matrix[:, :2] = matrix[:, :2] @ np.diag([width / _GLYPH_PIXELS, height / _GLYPH_PIXELS])
    matrix[:, 2] = canvas / 2 - matrix[:, :2] @ [_GLYPH_PIXELS / 2, _GLYPH_PIXELS / 2]
    turned = cv2.warpAffine(glyph, matrix, (canvas, canvas), flags=cv2.INTER_AREA)
    alpha = np.clip((turned.astype(np.float32) / 255 - 0.25) * 2, 0, 1)
    rows = np.flatnonzero((alpha > _VISIBLE).any(axis=1))
    columns = np.flatnonzero((alpha > _VISIBLE).any(axis=0))
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _find_place(
    alpha: NDArray[np.float32], boxes: Sequence[Box], rng: np.random.Generator, size: int
) -> Box | None:
    """Try random places for a digit; returns None if each overlaps another digit too much."""
    height, width = alpha.shape
    if max(height, width) > size:
        return None
    for left, top in rng.integers(0, (size - width + 1, size - height + 1), (_PLACEMENT_TRIES, 2)):
        box = (int(left), int(top), int(left) + width, int(top) + height)
        if all(_overlap(box, other) <= _MAX_OVERLAP for other in boxes):
            return box
    return None


def _overlap(a: Box, b: Box) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / smaller


def _paint(
    image: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    box: Box,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Blend a digit into the image, light or dark against it; returns where it shows."""
    left, top, right, bottom = box
    patch = image[top:bottom, left:right]
    contrast = rng.uniform(70, 110) * rng.choice([-1, 1]) + rng.uniform(-20, 20, 3)
    colour = np.clip(patch.mean(axis=(0, 1)) + contrast, 0, 255)
    blended = patch + alpha[..., None] * (colour - patch)
    image[top:bottom, left:right] = blended.astype(np.uint8)
    visible = np.zeros(image.shape[:2], bool)
    visible[top:bottom, left:right] = alpha > _VISIBLE
    return visible


def scene_categories() -> list[dict[str, Any]]:
    """Return COCO's categories of the digits."""
    return [{"id": number + 1, "name": name} for number, name in enumerate(CLASSES)]


def annotate_scene(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return COCO's annotations of a scene, numbered from ``first_id``."""
    if not scene.labels:
        return []
    rles = coco_mask.encode(np.asfortranarray(scene.masks.transpose(1, 2, 0).astype(np.uint8)))
    boxes = coco_mask.toBbox(rles).tolist()
    return [
        {
            "id": first_id + number,
            "image_id": image_id,
            "category_id": label + 1,
            "bbox": box,
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        }
        for number, (label, box, mask, rle) in enumerate(
            zip(scene.labels, boxes, scene.masks, rles, strict=True)
        )
    ]


def _members(
    seed: int, counts: Mapping[Split, int], style: SceneStyle
) -> Iterator[tuple[str, bytes]]:
    for split in SPLITS:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for index in range(counts[split]):
            scene = draw_scene(seed, split, index, style)
            name = f"{index:05d}.jpg"
            images.append(
                {"id": index, "file_name": name, "width": style.size, "height": style.size}
            )
            annotations += annotate_scene(scene, index, len(annotations) + 1)
            _, jpeg = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            yield f"{split}/{name}", jpeg.tobytes()
        document = {"images": images, "annotations": annotations, "categories": scene_categories()}
        yield f"annotations/{split}.json", json.dumps(document).encode()


def write_digit_scenes(
    folder: Path,
    *,
    seed: int,
    counts: Mapping[Split, int],
    size: int,
    digits: tuple[int, int],
    digit_size: tuple[int, int],
) -> None:
    """Write ``scenes.zip`` into ``folder``: JPEG images and COCO annotations for each split.

    Args:
        folder: Where to write the archive.
        seed: Seed of the whole data set.
        counts: Number of scenes of each split.
        size: Side of the square images, pixels.
        digits: Fewest and most digits in a scene.
        digit_size: Smallest and largest height of a digit, pixels.
    """
    low, high = digits
    smallest, largest = digit_size
    style = SceneStyle(size, (low, high), (smallest, largest))
    write_zip(folder / "scenes.zip", _members(seed, counts, style))
