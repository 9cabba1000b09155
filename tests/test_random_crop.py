"""Random crops that are chosen before an image is decoded."""

import math
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from split_project import encode, picture
from torchvision.transforms.v2 import RandomResizedCrop as TorchvisionCrop

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.batch_augmentation import Flip, uniform
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.decode import decode_image, decode_roughly
from viewfinder.data.loading.random_crop import Part, RandomResizedCrop
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import ClassLabel
from viewfinder.data.readers.record import Record
from viewfinder.data.schema import SplitInfo, split_path
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError

COUNT = 4000


def numbers(count: int = COUNT, seed: int = 0) -> NDArray[np.float64]:
    rows = np.arange(count)
    return uniform(seed, 0, np.zeros(count, np.int64), rows, RandomResizedCrop.draws)


def parts(crop: RandomResizedCrop, height: int, width: int) -> NDArray[np.int64]:
    """Return top, left, height and width of many crops, [B, 4]."""
    frames = np.tile(np.array([height, width]), (COUNT, 1))
    return np.array(crop.parts(frames, numbers()))


@pytest.mark.parametrize("frame", [(375, 500), (500, 375), (32, 32), (1, 1), (7, 300), (900, 40)])
def test_a_part_lies_within_its_image(frame: tuple[int, int]) -> None:
    for crop in (RandomResizedCrop(), RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))):
        top, left, height, width = parts(crop, *frame).T
        assert top.min() == left.min() == 0
        assert min(height.min(), width.min()) >= 1
        assert (top + height).max() == frame[0]
        assert (left + width).max() == frame[1]


def test_areas_ratios_and_places_spread_over_all_that_is_allowed() -> None:
    height, width = 900, 1200
    top, left, heights, widths = parts(RandomResizedCrop((0.1, 0.5), (0.5, 2.0)), height, width).T
    areas, ratios = heights * widths / (height * width), widths / heights
    assert (areas.min(), areas.max()) == pytest.approx((0.1, 0.5), abs=0.005)
    assert (ratios.min(), ratios.max()) == pytest.approx((0.5, 2.0), rel=0.02)
    assert np.mean(ratios < 1) == pytest.approx(0.5, abs=0.1)
    for corner, most in ((top, height - heights), (left, width - widths)):
        places = corner[most > 0] / most[most > 0]
        assert np.histogram(places, bins=4, range=(0, 1))[0].min() > COUNT / 5


@pytest.mark.parametrize("frame", [(375, 500), (640, 480), (100, 700)])
def test_parts_are_as_large_as_those_of_torchvision(frame: tuple[int, int]) -> None:
    torch.manual_seed(0)
    other, image = TorchvisionCrop(224), torch.empty(3, *frame)
    drawn = [other.make_params([image]) for _ in range(COUNT)]
    expected = np.array([(item["height"], item["width"]) for item in drawn])
    found = parts(RandomResizedCrop(), *frame)[:, 2:]
    # Four standard errors of the difference between two means of so many draws.
    error = np.hypot(found.std(axis=0), expected.std(axis=0)) / math.sqrt(COUNT)
    assert (np.abs(found.mean(axis=0) - expected.mean(axis=0)) <= 4 * error + 1e-9).all()
    for share in (0.1, 0.5, 0.9):
        one, two = (np.quantile(sizes, share, axis=0) for sizes in (found, expected))
        assert np.abs(one - two).max() < 0.05 * max(frame)


def test_very_long_images_give_the_largest_part_of_an_allowed_ratio() -> None:
    top, left, height, width = parts(RandomResizedCrop(scale=(0.9, 1.0)), 60, 600).T
    assert set(height) == {60}
    assert set(width) == {80}
    assert set(top) == {0}
    assert left.max() > 500


def test_the_smallest_part_is_a_bound() -> None:
    for frame in ((375, 500), (700, 80), (64, 64)):
        least = RandomResizedCrop().smallest(*frame)
        sizes = parts(RandomResizedCrop(), *frame)[:, 2:]
        assert (sizes.min(axis=0) >= least).all()


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [
        ((0.5, 0.2), (0.75, 1.33)),
        ((0.0, 1.0), (0.75, 1.33)),
        ((0.1, 1.2), (0.75, 1.33)),
        ((0.1, 1.0), (1.33, 0.75)),
        ((0.1, 1.0), (-1.0, 1.0)),
        ((0.1,), (0.75, 1.33)),
        (0.5, (0.75, 1.33)),
        (["a", 1], (0.75, 1.33)),
        ((0.1, 1.0), "0.75,1.33"),
        ((0.1, 1.0), (0.5, math.inf)),
    ],
)
def test_ranges_that_are_none_are_refused(scale: Any, ratio: Any) -> None:
    with pytest.raises(ViewfinderError, match=r"scale .* and ratio .*; expected two numbers each"):
        RandomResizedCrop(scale, ratio)


# --- in a loader --------------------------------------------------------------------------------

SIZE = (56, 72)
FRAME = (300, 400)
SEED, EPOCH = 5, 3


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos of 400 x 300 pixels."""
    folder = tmp_path_factory.mktemp("crops")
    raw = folder / "data" / "raw" / "photos"
    raw.mkdir(parents=True)
    members = {
        f"{number:02d}.jpg": encode(
            cv2.resize(picture(number, 64), FRAME[::-1], interpolation=cv2.INTER_CUBIC),
            "JPEG",
            quality=92,
        )
        for number in range(12)
    }
    write_zip(raw / "data.zip", members.items())
    write_checksums(raw)
    records = [Record(id=name, label=number % 2) for number, name in enumerate(members)]
    with Archive(raw) as archive:
        for split in ("train", "val"):
            info = SplitInfo("photos", split, ["cat", "dog"], {})
            write_split(folder / split_path("photos", split), records, archive, ["label"], info)
    return folder


def loaded(project: Path, *augmentations: Any, **options: Any) -> tuple[VisionDataModule, Any]:
    """Return the module and its one training batch."""
    data = VisionDataModule(
        dataset="photos",
        view=ClassLabel(),
        augmentations={str(number): item for number, item in enumerate(augmentations)},
        batch_size=12,
        seed=SEED,
        splits=("train", "val"),
        project=project,
        **({"size": SIZE} | options),
    )
    loader = data.train_dataloader()
    loader.sampler.set_epoch(EPOCH)
    (batch,) = loader
    return data, batch


def crop_of(row: int) -> Part:
    drawn = uniform(SEED, 0, np.array([EPOCH]), np.array([row]), RandomResizedCrop.draws)
    return RandomResizedCrop().parts(np.array([FRAME]), drawn)[0]


def cut(image: NDArray[np.uint8], part: Part, reduction: int = 1) -> NDArray[np.uint8]:
    top, left, height, width = (side // reduction for side in part)
    return image[top : top + height, left : left + width]


def test_a_crop_is_decoded_at_the_smallest_scale_that_it_needs(project: Path) -> None:
    data, batch = loaded(project, RandomResizedCrop())
    seen = set()
    for name, image in zip(batch["id"], batch["image"], strict=True):
        row = int(name[:2])
        part = crop_of(row)
        fitting = [n for n in (1, 2, 4, 8) if part.height // n >= 56 and part.width // n >= 72]
        reduction: Any = max(fitting, default=1)
        seen.add(reduction)
        content = data.splits["train"].row(row, ["image"])["image"]["bytes"]
        decoded = decode_roughly(content, name, reduction)
        expected = cv2.resize(cut(decoded, part, reduction), SIZE[::-1])
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)
        whole = cut(decode_image(content, name), part)
        large = cv2.resize(whole, SIZE[::-1], interpolation=cv2.INTER_AREA)
        same, other = (
            np.abs(expected.astype(int) - pixels).mean() for pixels in (large, large[:, ::-1])
        )
        assert same < other / 4
    assert {1, 2, 4} <= seen


def test_what_is_kept_in_memory_is_cropped_at_the_same_place(project: Path) -> None:
    size = (24, 32)
    data, batch = loaded(project, RandomResizedCrop(), size=size, cache="ram")
    kept = data.transform.reduction(FRAME, augmented=True, annotated=False)
    assert kept == 2
    for name, image in zip(batch["id"], batch["image"], strict=True):
        row = int(name[:2])
        content = data.splits["train"].row(row, ["image"])["image"]["bytes"]
        part = cut(decode_roughly(content, name, kept), crop_of(row), kept)
        expected = cv2.resize(part, size[::-1])
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)


def test_crops_and_what_follows_them_are_drawn_apart() -> None:
    rows, epochs = np.arange(COUNT), np.zeros(COUNT, np.int64)
    transform = Transform(SIZE, augmentations=[RandomResizedCrop(), Flip(), Flip()])
    found = transform.parts([FRAME] * COUNT, SEED, epochs, rows)
    areas = np.array(found)[:, 2:].prod(axis=1)
    for stream in (0, 1):
        flips = uniform(SEED, stream, epochs, rows, Flip.draws)[:, 0]
        assert abs(np.corrcoef(areas, flips)[0, 1]) < 0.1


def test_validation_images_are_whole(project: Path) -> None:
    data, _ = loaded(project, RandomResizedCrop())
    (batch,) = data.val_dataloader()
    plain, _ = loaded(project)
    (expected,) = plain.val_dataloader()
    assert torch.equal(batch["image"], expected["image"])


def test_what_follows_a_crop_sees_it_at_the_size_of_the_model(project: Path) -> None:
    _, plain = loaded(project, RandomResizedCrop())
    _, mirrored = loaded(project, RandomResizedCrop(), A.HorizontalFlip(p=1))
    assert torch.equal(mirrored["image"], plain["image"].flip(3))
    _, cut = loaded(project, RandomResizedCrop(), A.CenterCrop(*SIZE, p=1))
    assert torch.equal(cut["image"], plain["image"])


def test_a_single_sample_is_cropped_as_in_its_batch(project: Path) -> None:
    size = (FRAME[0] // 2 + 1, FRAME[1] // 2 + 1)  # no crop is decoded at a smaller scale
    data, batch = loaded(project, RandomResizedCrop(), size=size)
    row = int(batch["id"][0][:2])
    content = data.splits["train"].row(row, ["image"])["image"]["bytes"]
    sample = Sample(decode_roughly(content, "photo"), label=row % 2)
    alone = Transform(size, augmentations=[RandomResizedCrop()])(sample, (SEED, EPOCH, row))
    np.testing.assert_array_equal(alone.image, batch["image"][0].permute(1, 2, 0).numpy())
    assert alone.label == row % 2


def test_a_cropped_sample_keeps_its_class_alone() -> None:
    pixels = picture(1, 64)
    sample = Sample(
        pixels,
        label=1,
        boxes=np.array([[0, 0, 9, 9]], np.float32),
        labels=np.array([1]),
        mask=np.zeros((64, 64), np.uint8),
    )
    alone = Transform((20, 30), augmentations=[RandomResizedCrop()])(sample, (SEED, EPOCH, 0))
    assert alone.image.shape == (20, 30, 3)
    assert alone.label == 1
    assert len(alone.boxes) == len(alone.labels) == 0
    assert alone.mask is None


def test_a_sample_is_not_changed_by_what_is_made_of_it() -> None:
    pixels = picture(1, 64)
    before = pixels.copy()
    mirrored = Transform(pixels.shape[:2], augmentations=[Flip(p=1)])(Sample(pixels), (SEED, 0, 0))
    np.testing.assert_array_equal(mirrored.image, before[:, ::-1])
    np.testing.assert_array_equal(pixels, before)
