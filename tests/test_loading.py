"""Loading at speed: shards, caches, reduced decoding and batch augmentations change no batch."""

import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from faster_coco_eval.core import mask as coco_mask
from split_project import encode, picture

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.batch_augmentation import Flip, Shift, uniform
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.random_crop import RandomResizedCrop
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import (
    Boxes,
    ClassesPresent,
    ClassLabel,
    Instances,
    SemanticMask,
    SingleBox,
    View,
)
from viewfinder.data.loading.workers import available_cores, in_threads, worker_count
from viewfinder.data.readers.record import MaskFile, Object, Record
from viewfinder.data.schema import SPLITS, SplitInfo, split_path
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError

SIZE = (48, 64)
SIZES = [(96, 128), (100, 70), (48, 64), (200, 260)]
COLUMNS = ["id", "label", "width", "height"]


def record(number: int) -> tuple[Record, bytes, bytes]:
    """Return an image of one box and one mask, of a size that depends on the number."""
    height, width = SIZES[number % len(SIZES)]
    pixels = cv2.resize(picture(number, 64), (width, height), interpolation=cv2.INTER_CUBIC)
    left, top = width // 4, height // 4
    box = (float(left), float(top), float(left + width // 2), float(top + height // 3))
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + height // 3, left : left + width // 2] = 1
    name = f"{number:03d}"
    found = Record(
        id=f"{name}.jpg",
        label=number % 2,
        objects=(Object(box, number % 2, coco_mask.encode(np.asfortranarray(mask))["counts"]),),
        mask=MaskFile(f"{name}.png"),
    )
    return found, encode(pixels, "JPEG", quality=95), encode(mask)


def write(project: Path, name: str, count: int, **options: Any) -> list[Record]:
    """Write a data set whose splits are the same records."""
    made = [record(number) for number in range(count)]
    raw = project / "raw" / name
    raw.mkdir(parents=True)
    members = {found.id: image for found, image, _ in made}
    members |= {f"{found.id[:3]}.png": mask for found, _, mask in made}
    write_zip(raw / "data.zip", members.items())
    write_checksums(raw)
    records = [found for found, _, _ in made]
    with Archive(raw) as archive:
        for split in SPLITS:
            path = project / split_path(name, split)
            info = SplitInfo(name, split, ["cat", "dog"], {})
            write_split(path, records, archive, ["label", "objects", "mask"], info, **options)
    return records


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in one shard, and the same in several."""
    folder = tmp_path_factory.mktemp("project")
    write(folder, "whole", 14)
    write(folder, "sharded", 14, shard_bytes=20_000)
    return folder


def module(project: Path, view: View, **options: Any) -> VisionDataModule:
    given: dict[str, Any] = {"dataset": "whole", "size": SIZE, "batch_size": 4, "seed": 5}
    return VisionDataModule(view=view, project=project, **(given | options))


def batches(data: VisionDataModule, split: str = "train", epoch: int = 3) -> list[dict[str, Any]]:
    loader = getattr(data, f"{split}_dataloader")()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# --- shards ------------------------------------------------------------------------------------


def test_a_large_split_is_sharded_and_reads_as_one(project: Path) -> None:
    whole, sharded = (
        SplitFile(project / split_path(name, "train")) for name in ("whole", "sharded")
    )
    shards = sorted(sharded.path.iterdir())
    assert [path.name for path in shards] == [f"{n:05d}.arrow" for n in range(len(shards))]
    assert len(shards) > 2
    assert all(path.stat().st_size < 25_000 for path in shards)
    assert [path.name for path in whole.path.iterdir()] == ["00000.arrow"]
    order = [13, 0, 5, 5, 8, -1]
    assert sharded.rows(order, COLUMNS) == whole.rows(order, COLUMNS)
    assert [row["id"] for row in whole.rows(order, ["id"])] == [f"{n % 14:03d}.jpg" for n in order]
    images = [bytes(memoryview(image)) for image in sharded.images(order)]
    assert images == [whole.row(n, ["image"])["image"]["bytes"] for n in order]


def test_each_shard_is_a_plain_arrow_stream(project: Path) -> None:
    ids = []
    for path in sorted((project / split_path("sharded", "val")).iterdir()):
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
        assert SplitInfo.from_schema(table.schema).classes == ["cat", "dog"]
        ids += table.column("id").to_pylist()
    assert ids == [f"{number:03d}.jpg" for number in range(14)]


@pytest.mark.parametrize("missing", ["first", "middle", "last"])
def test_a_missing_shard_is_noticed(project: Path, tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "pets" / "train"
    shutil.copytree(project / split_path("sharded", "train"), folder)
    shards = sorted(folder.iterdir())
    shards[{"first": 0, "middle": 1, "last": -1}[missing]].unlink()
    with pytest.raises(ViewfinderError, match=r"shard|does not exist") as caught:
        SplitFile(folder)
    assert "dvc repro split@pets" in str(caught.value)


def test_a_shard_of_another_split_is_refused(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pets" / "train"
    shutil.copytree(project / split_path("sharded", "train"), folder)
    shutil.copy(project / split_path("sharded", "val") / "00001.arrow", folder / "00001.arrow")
    with pytest.raises(ViewfinderError, match=r"00001\.arrow belongs to another split"):
        SplitFile(folder)


def test_images_are_views_of_the_file_and_a_pickled_split_is_its_path(project: Path) -> None:
    split = SplitFile(project / split_path("whole", "train"))
    first, again = (split.images([3])[0].address for _ in range(2))
    assert first == again
    assert len(pickle.dumps(split)) < 1000
    other = pickle.loads(pickle.dumps(split))
    assert other.row(3, COLUMNS) == split.row(3, COLUMNS)


# --- the same batches, however they are loaded --------------------------------------------------

AUGMENTATIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "none": dict,
    "affine": lambda: {"affine": A.Affine(rotate=(-10, 10), p=1.0)},
    "flip_color": lambda: {"flip": A.HorizontalFlip(p=0.5), "color": A.ColorJitter(p=1.0)},
    "crop_flip": lambda: {"crop": RandomResizedCrop(), "flip": Flip()},
    "crop_color": lambda: {"crop": RandomResizedCrop(), "color": A.ColorJitter(p=1.0)},
    "shift_flip": lambda: {"shift": Shift(padding=3), "flip": Flip()},
}
VIEWS: list[type[View]] = [
    ClassLabel,
    ClassesPresent,
    SingleBox,
    Boxes,
    SemanticMask,
    Instances,
]
CASES = [(view, name) for view in VIEWS for name in AUGMENTATIONS]
FOR_WHOLE_IMAGES = ("crop_flip", "crop_color", "shift_flip")
# At this size no crop of the images is decoded at a smaller scale.
NEVER_REDUCED = (128, 160)


@pytest.mark.parametrize(
    ("view", "name"),
    [(view, name) for view, name in CASES if view is ClassLabel or name not in FOR_WHOLE_IMAGES],
)
def test_cached_images_give_the_same_batches(project: Path, view: type[View], name: str) -> None:
    size = NEVER_REDUCED if name.startswith("crop") else SIZE
    plain, cached, sharded = (
        module(project, view(), augmentations=AUGMENTATIONS[name](), size=size, **options)
        for options in ({}, {"cache": "ram"}, {"cache": "ram", "dataset": "sharded"})
    )
    for split in ("train", "val", "test"):
        expected = batches(plain, split)
        assert same(expected, batches(cached, split))
        assert same(expected, batches(sharded, split))
    assert same(batches(plain), batches(cached))
    assert same(batches(plain, epoch=4), batches(cached, epoch=4))
    assert same(batches(plain), batches(plain, epoch=4)) is False


@pytest.mark.parametrize("cache", ["none", "ram"])
@pytest.mark.parametrize("name", ["none", "flip_color", "shift_flip"])
def test_grey_batches_are_the_grey_of_coloured_ones(project: Path, name: str, cache: Any) -> None:
    grey, coloured = (
        batches(
            module(
                project,
                ClassLabel(),
                augmentations=AUGMENTATIONS[name](),
                channels=channels,
                cache=cache,
            )
        )
        for channels in (1, 3)
    )
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    for one, three in zip(grey, coloured, strict=True):
        assert one["image"].shape == (4, 1, *SIZE)
        expected = (three["image"] * weights).sum(dim=1, keepdim=True)
        assert (one["image"] - expected).abs().max() < 1


@pytest.mark.parametrize("cache", ["none", "ram"])
@pytest.mark.parametrize("name", ["crop_flip", "crop_color", "shift_flip", "flip_color"])
def test_batches_do_not_depend_on_who_loads_them(project: Path, name: str, cache: Any) -> None:
    alone, processes, threads = (
        batches(
            module(
                project,
                ClassLabel(),
                augmentations=AUGMENTATIONS[name](),
                cache=cache,
                num_workers=workers,
                worker_type=kind,
            )
        )
        for workers, kind in ((0, "auto"), (2, "process"), (3, "thread"))
    )
    assert len(alone) == 3
    assert same(alone, processes)
    assert same(alone, threads)


@pytest.mark.parametrize("name", ["crop_flip", "shift_flip"])
def test_an_augmentation_does_not_depend_on_the_batch_an_image_is_in(
    project: Path, name: str
) -> None:
    found = [
        {
            found_id: image
            for batch in batches(
                module(
                    project,
                    ClassLabel(),
                    augmentations=AUGMENTATIONS[name](),
                    batch_size=size,
                )
            )
            for found_id, image in zip(batch["id"], batch["image"], strict=True)
        }
        for size in (3, 7)
    ]
    common = set(found[0]) & set(found[1])
    assert len(common) > 8
    assert all(torch.equal(found[0][one], found[1][one]) for one in common)


def test_a_cache_beyond_the_free_memory_is_refused_with_both_figures(project: Path) -> None:
    data = module(project, ClassLabel(), size=(200_000, 200_000), cache="ram")
    with pytest.raises(ViewfinderError, match=r"1564\.62 GiB.* GiB are free.*loader\.cache=none"):
        data.train_dataloader()


@pytest.mark.parametrize(
    "options", [{"cache": "ram"}, {"num_workers": 2, "worker_type": "thread"}, {}]
)
def test_a_damaged_image_is_named(
    project: Path, tmp_path: Path, options: Mapping[str, Any]
) -> None:
    target = tmp_path / "data" / "splits" / "whole"
    shutil.copytree(project / "data" / "splits" / "whole", target)
    shard = target / "val" / "00000.arrow"
    content = bytearray(shard.read_bytes())
    image = SplitFile(shard.parent).row(9, ["image"])["image"]["bytes"]
    place = bytes(content).index(image)
    content[place : place + 4] = b"no j"
    shard.write_bytes(content)
    with pytest.raises(ViewfinderError, match=r"'009\.jpg'"):
        list(module(tmp_path, ClassLabel(), **options).val_dataloader())


@pytest.mark.parametrize("name", FOR_WHOLE_IMAGES)
@pytest.mark.parametrize("view", [Boxes, SemanticMask])
def test_what_moves_pixels_alone_is_refused_where_boxes_or_masks_must_move_along(
    project: Path, view: type[View], name: str
) -> None:
    with pytest.raises(ViewfinderError, match=rf"{name.replace('_', ', ')}.*can't move boxes"):
        module(project, view(), augmentations=AUGMENTATIONS[name]())


def test_augmentations_in_an_order_that_can_not_be_are_refused(project: Path) -> None:
    for kinds in ([Flip, A.Affine], [A.Affine, RandomResizedCrop], [RandomResizedCrop] * 2):
        mixed = {str(number): kind() for number, kind in enumerate(kinds)}
        names = ", ".join(kind.__name__ for kind in kinds)
        with pytest.raises(ViewfinderError, match=rf"{names}.*comes first.*come last"):
            module(project, ClassLabel(), augmentations=mixed)


# --- what batch augmentations do ----------------------------------------------------------------


def test_flip_and_shift_do_what_their_names_say() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)
    numbers = np.array([[0.1], [0.9], [0.4]])
    flipped, shifted, mirrored = images.copy(), images.copy(), images.copy()
    Flip(p=0.5).on_batch(flipped, numbers)
    np.testing.assert_array_equal(flipped[[0, 2]], images[[0, 2], :, ::-1])
    np.testing.assert_array_equal(flipped[1], images[1])
    corners = np.array([[0.5, 0.5], [0.0, 0.99], [0.99, 0.3]])  # of 0 to 4: (2, 2), (0, 4), (4, 1)
    Shift(padding=2).on_batch(shifted, corners)
    np.testing.assert_array_equal(shifted[0], images[0])
    np.testing.assert_array_equal(shifted[1, 2:, :3], images[1, :4, 2:])
    assert (shifted[1, :2] == 0).all()
    assert (shifted[1, :, 3:] == 0).all()
    np.testing.assert_array_equal(shifted[2, :4, 1:], images[2, 2:, :4])
    Shift(padding=2, border="reflect").on_batch(mirrored, corners)
    np.testing.assert_array_equal(mirrored[2, 4], mirrored[2, 2])


def test_draws_are_even_and_without_correlation() -> None:
    rows = np.arange(20_000)
    one, later = (uniform(3, 0, np.full(len(rows), epoch), rows, 2) for epoch in (0, 1))
    other_seed, other_stream = uniform(4, 0, rows * 0, rows, 2), uniform(3, 1, rows * 0, rows, 2)
    for numbers in (one, later):
        counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
        assert abs(counts / counts.mean() - 1).max() < 0.1
    assert ((one >= 0) & (one < 1)).all()
    columns = [*one.T, *later.T, *other_seed.T, *other_stream.T, one[1:, 0]]
    columns = [column[:19_000] for column in columns]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert abs(correlation).max() < 0.04


# --- reduced decoding ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "augmented", "annotated", "expected"),
    [
        ((448, 448), False, False, 2),
        ((447, 448), False, False, 1),
        ((3024, 3024), False, False, 8),
        ((900, 900), False, False, 4),
        ((900, 898), False, True, 2),
        ((901, 900), False, True, 1),
        ((200, 200), False, False, 1),
        ((375, 500), True, False, 1),
        ((3024, 3024), True, False, 2),
    ],
)
def test_images_are_reduced_only_if_the_model_would_see_no_less(
    frame: tuple[int, int], augmented: bool, annotated: bool, expected: int
) -> None:
    # The smallest crop of 3024 x 3024 pixels is about 741 x 741: enough for half of the scale.
    transform = Transform((224, 224), augmentations=[RandomResizedCrop()])
    assert transform.reduction(frame, augmented=augmented, annotated=annotated) == expected


def test_an_augmentation_that_may_zoom_in_needs_the_whole_image() -> None:
    for augmentation, expected in ((A.Affine(), 1), (A.HorizontalFlip(), 4)):
        transform = Transform((100, 100), augmentations=[augmentation])
        assert transform.reduction((400, 400), augmented=True, annotated=True) == expected


@pytest.mark.parametrize(
    ("size", "method"),
    [
        ((20, 30), cv2.INTER_AREA),
        ((40, 30), cv2.INTER_LINEAR),
        ((20, 80), cv2.INTER_LINEAR),
        ((80, 90), cv2.INTER_LINEAR),
    ],
)
def test_area_is_linear_where_an_image_grows(size: tuple[int, int], method: int) -> None:
    pixels = picture(3, 64)[:36, :42]
    expected = cv2.resize(pixels, size[::-1], interpolation=method)
    np.testing.assert_array_equal(Transform(size, "area")(Sample(pixels)).image, expected)


def test_a_reduced_image_keeps_its_boxes_and_masks_in_place(project: Path) -> None:
    small = {"size": (24, 32), "batch_size": 14}
    boxes, masks = (
        batches(module(project, view, **small), "val")[0] for view in (Boxes(), SemanticMask())
    )
    labels = batches(module(project, ClassLabel(), **small), "val")[0]
    for number, (height, width) in enumerate(SIZES):
        left, top = width // 4, height // 4
        box = [left, top, left + width // 2, top + height // 3]
        expected = np.array(box) * np.array([32 / width, 24 / height] * 2)
        np.testing.assert_allclose(boxes["boxes"][number][0], expected, atol=1e-4)
        inside = masks["mask"][number].nonzero()
        edges = [*inside.min(dim=0).values.flip(0), *(inside.max(dim=0).values.flip(0) + 1)]
        np.testing.assert_allclose(edges, expected, atol=1)
        pixels = cv2.resize(picture(number, 64), (width, height), interpolation=cv2.INTER_CUBIC)
        area = cv2.resize(pixels, (32, 24), interpolation=cv2.INTER_AREA).astype(int)
        for batch in (boxes, masks, labels):
            image = batch["image"][number].permute(1, 2, 0).numpy()
            assert np.abs(image - area).mean() < 5


# --- workers ------------------------------------------------------------------------------------


class Slow:
    """A data set of which every image takes as long as it is told."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count, self.seconds = count, seconds

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, keys: list[tuple[int, int]]) -> object:
        assert all(0 <= index < self.count for _, index in keys)
        time.sleep(self.seconds * len(keys))
        return keys


def test_workers_are_started_for_long_work_only() -> None:
    cores = available_cores()
    assert worker_count(Slow(20, 0.001), accelerated=True) == 0
    long = Slow(100_000, 0.001)
    assert worker_count(long, accelerated=True) == (min(cores, 16) if cores > 1 else 0)
    assert worker_count(long, accelerated=False) == (min(cores // 2, 16) if cores > 1 else 0)
    assert worker_count(Slow(1, 0.5), accelerated=False) == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_one_core_gets_no_worker() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert worker_count(Slow(100_000, 0.001), accelerated=True) == 0
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("kind", "decoding", "accelerated", "expected"),
    [
        ("auto", True, False, True),
        ("auto", True, True, False),
        ("auto", False, False, False),
        ("process", True, False, False),
        ("thread", False, True, True),
    ],
)
def test_threads_load_large_images_where_the_cores_train(
    tmp_path: Path, kind: Any, *, decoding: bool, accelerated: bool, expected: bool
) -> None:
    split = of_one_size(tmp_path, 256)
    assert in_threads(kind, split, decoding=decoding, accelerated=accelerated) is expected


def test_threads_do_not_load_small_images_unless_told(tmp_path: Path) -> None:
    split = of_one_size(tmp_path, 255)
    assert not in_threads("auto", split, decoding=True, accelerated=False)


def of_one_size(folder: Path, side: int) -> SplitFile:
    """Write a split of one square image."""
    write_zip(folder / "data.zip", [("0.png", encode(picture(0, side)))])
    write_checksums(folder)
    with Archive(folder) as archive:
        info = SplitInfo("large", "train", ["cat"], {})
        write_split(folder / "train", [Record(id="0.png", label=0)], archive, ["label"], info)
    return SplitFile(folder / "train")


class Counting(ClassLabel):
    """Says beside the label how many threads PyTorch would compute it in."""

    def row_targets(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        return super().row_targets(rows) | {"threads": torch.tensor(torch.get_num_threads())}


def test_loading_threads_start_no_threads_and_leave_none(project: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        data = module(project, Counting(), num_workers=2, worker_type="thread")
        passes = iter(data.train_dataloader())
        assert next(passes)["threads"] == 1
        assert torch.get_num_threads() == 2
        passes.close()
    finally:
        torch.set_num_threads(before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_a_small_data_set_is_loaded_by_the_training_process(project: Path) -> None:
    loader = module(project, ClassLabel(), num_workers="auto").train_dataloader()
    assert loader.num_workers == 0
    assert sum(len(batch["id"]) for batch in loader) == 12
