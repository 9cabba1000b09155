"""From an archive to batches: checksums, readers, splits, split files, views and augmentation."""

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from viewfinder.config import compose_augmentation
from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.loading.transforms import Transform
from viewfinder.data.loading.views import Boxes, ClassLabel, SemanticMask, SingleBox, View
from viewfinder.data.readers.coco import read_coco
from viewfinder.data.readers.folders import read_class_folders
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.schema import IGNORE, SPLITS, SplitInfo, split_path
from viewfinder.data.sources.digit_scenes import write_digit_scenes
from viewfinder.data.sources.digits import CLASSES
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.data.splits.assign import Assignment, official_split, stratified_split
from viewfinder.data.splits.writer import write_split
from viewfinder.errors import ViewfinderError
from viewfinder.instantiation import build_augmentations

ROOT = Path(__file__).parents[1]

MANY_OBJECTS = "multilabel, detection, segmentation, instances"
COUNTS = {"train": 10, "val": 5, "test": 4}
COCO = {
    "annotations": {split: f"annotations/{split}.json" for split in SPLITS},
    "images": {split: split for split in SPLITS},
}


def png(seed: int, height: int = 20, width: int = 30) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def archive_of(folder: Path, members: Mapping[str, bytes]) -> Archive:
    folder.mkdir(parents=True, exist_ok=True)
    write_zip(folder / "data.zip", members.items())
    write_checksums(folder)
    return Archive(folder)


def write_splits(
    project: Path,
    name: str,
    archive: Archive,
    reading: Reading,
    divide: Callable[[list[Record]], Assignment],
) -> None:
    assignment = divide(reading.records)
    for split in SPLITS:
        path = project / split_path(name, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        info = SplitInfo(name, split, reading.classes, {})
        write_split(path, assignment[split], archive, reading.annotations, info)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small data sets: class folders, scenes of one digit, scenes of several."""
    folder = tmp_path_factory.mktemp("project")
    members = {
        f"{label}_{name}/{index}.png": png(100 * label + index)
        for label, name in enumerate(("cat", "dog"))
        for index in range(10)
    }
    with archive_of(folder / "raw" / "folders", members) as archive:
        write_splits(
            folder,
            "folders",
            archive,
            read_class_folders(archive),
            lambda records: stratified_split(records, val=0.2, test=0.2, seed=0),
        )
    for name, digits in (("single", (1, 1)), ("scenes", (2, 4))):
        raw = folder / "raw" / name
        raw.mkdir()
        write_digit_scenes(raw, seed=3, counts=COUNTS, size=64, digits=digits, digit_size=(16, 24))
        write_checksums(raw)
        with Archive(raw) as archive:
            write_splits(folder, name, archive, read_coco(archive, **COCO), official_split)
    return folder


def shift() -> dict[str, Any]:
    return {"affine": A.Affine(rotate=(-10, 10), translate_percent=(-0.1, 0.1), p=1.0)}


def module(project: Path, dataset: str, view: View, **options: Any) -> VisionDataModule:
    given: dict[str, Any] = {"size": (48, 64), "batch_size": 4, "seed": 5}
    return VisionDataModule(dataset=dataset, view=view, project=project, **(given | options))


def epoch(data: VisionDataModule, number: int) -> dict[str, torch.Tensor]:
    """Return the training images of an epoch, by the id of their row."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return {
        name: image
        for batch in loader
        for name, image in zip(batch["id"], batch["image"], strict=True)
    }


def extent(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_an_archive_that_changed_is_refused_by_name(tmp_path: Path) -> None:
    archive_of(tmp_path / "pets", {"a.png": png(0)})
    path = tmp_path / "pets" / "data.zip"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ViewfinderError) as caught:
        Archive(tmp_path / "pets")
    assert str(path) in str(caught.value)
    assert "download@pets" in str(caught.value)


def test_an_archive_that_is_missing_or_no_zip_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match="not downloaded"):
        Archive(tmp_path)
    (tmp_path / "data.zip").write_bytes(b"not a zip")
    write_checksums(tmp_path)
    with pytest.raises(ViewfinderError, match=r"data\.zip is not a zip archive"):
        Archive(tmp_path)
    (tmp_path / "data.zip").unlink()
    with pytest.raises(ViewfinderError, match=r"data\.zip is missing"):
        Archive(tmp_path)


def test_class_folders_give_labels_in_the_order_of_the_folders(tmp_path: Path) -> None:
    members = {
        "top/02_dog/a.PNG": b"",
        "top/01_cat/b.jpg": b"",
        "top/01_cat/c.jpeg": b"",
        "top/readme.txt": b"",
    }
    with archive_of(tmp_path, members) as archive:
        reading = read_class_folders(archive)
    assert reading.classes == ["cat", "dog"]
    assert reading.annotations == ["label"]
    assert {record.id: record.label for record in reading.records} == {
        "top/02_dog/a.PNG": 1,
        "top/01_cat/b.jpg": 0,
        "top/01_cat/c.jpeg": 0,
    }


def test_one_folder_of_images_is_refused(tmp_path: Path) -> None:
    with archive_of(tmp_path, {"only/a.png": b""}) as archive:
        with pytest.raises(ViewfinderError, match="1 folders"):
            read_class_folders(archive)


def coco_document(**changes: Any) -> dict[str, Any]:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 10:20] = 1
    compressed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    # Column by column: 10 empty columns and 5 pixels, then runs of 5 set and 15 empty.
    plain = [10 * 20 + 5, *([5, 15] * 9), 5, 20 * 30 - (10 * 20 + 5) - 9 * 20 - 5]
    segmentations = [
        [[10, 5, 20, 5, 20, 10, 10, 10]],
        {"size": [20, 30], "counts": compressed},
        {"size": [20, 30], "counts": plain},
        None,
    ]
    annotations = [
        {"id": n, "image_id": 7, "category_id": 30, "bbox": [10, 5, 10, 5], "segmentation": item}
        for n, item in enumerate(segmentations)
    ]
    annotations[2] |= {"iscrowd": 1, "category_id": 4}
    document = {
        "images": [
            {"id": 7, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 8, "file_name": "empty.png", "height": 20, "width": 30},
        ],
        "annotations": annotations,
        "categories": [{"id": 30, "name": "dog"}, {"id": 4, "name": "cat"}],
    }
    return document | changes


def read_document(folder: Path, document: Any) -> Reading:
    with archive_of(folder, {"val.json": json.dumps(document).encode()}) as archive:
        return read_coco(archive, annotations={"val": "val.json"}, images={"val": "pictures"})


def test_coco_polygons_and_run_lengths_become_the_same_mask(tmp_path: Path) -> None:
    reading = read_document(tmp_path, coco_document())
    assert reading.classes == ["cat", "dog"]
    assert reading.annotations == ["objects"]
    first, empty = reading.records
    assert (first.id, first.split) == ("pictures/a.png", "val")
    assert empty.objects == ()
    objects = first.objects or ()
    assert [item.bbox for item in objects] == [(10, 5, 20, 10)] * 4
    assert [item.category for item in objects] == [1, 1, 0, 1]
    assert [item.crowd for item in objects] == [False, False, True, False]
    assert objects[3].rle is None
    expected = np.zeros((20, 30), np.uint8)
    expected[5:10, 10:20] = 1
    for item in objects[:3]:
        decoded = coco_mask.decode({"size": [20, 30], "counts": item.rle})
        np.testing.assert_array_equal(decoded, expected)


def test_a_coco_file_without_a_section_is_refused(tmp_path: Path) -> None:
    document = coco_document()
    del document["categories"]
    with pytest.raises(ViewfinderError, match=r"val\.json.*categories"):
        read_document(tmp_path, document)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"id": 5, "image_id": 9, "category_id": 4, "bbox": [0, 0, 1, 1]}, "image_id 9"),
        ({"id": 5, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}, "category_id 1"),
    ],
)
def test_a_coco_annotation_that_means_nothing_is_noted(
    tmp_path: Path, annotation: dict[str, Any], message: str
) -> None:
    reading = read_document(tmp_path, coco_document(annotations=[annotation]))
    (bad,) = reading.left_out
    assert message in bad.reason


def test_a_coco_annotation_without_a_box_concerns_its_image(tmp_path: Path) -> None:
    annotation = {"id": 5, "image_id": 7, "category_id": 4}
    reading = read_document(tmp_path, coco_document(annotations=[annotation]))
    (left_out,) = reading.left_out
    assert left_out.id.endswith("a.png")
    assert "annotation 5 of 'val.json' has the box None; expected four numbers" in left_out.reason


def test_an_image_of_another_size_than_its_annotations_is_refused(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.png", "height": 30, "width": 20}]
    annotations = [{"id": 5, "image_id": 7, "category_id": 4, "bbox": [0, 0, 1, 1]}]
    document = coco_document(images=images, annotations=annotations)
    reading = read_document(tmp_path / "json", document)
    with archive_of(tmp_path / "raw", {"pictures/a.png": png(0)}) as archive:
        with pytest.raises(ViewfinderError, match=r"a\.png.*30 x 20.*20 x 30"):
            info = SplitInfo("pets", "val", reading.classes, {})
            write_split(tmp_path / "val", reading.records, archive, ["objects"], info)


def test_coco_files_with_other_categories_are_refused(tmp_path: Path) -> None:
    other = coco_document(categories=[{"id": 30, "name": "cow"}, {"id": 4, "name": "cat"}])
    members = {
        "train.json": json.dumps(coco_document()).encode(),
        "val.json": json.dumps(other).encode(),
    }
    with archive_of(tmp_path, members) as archive:
        with pytest.raises(ViewfinderError, match=r"val\.json.*cow"):
            read_coco(
                archive,
                annotations={"train": "train.json", "val": "val.json"},
                images={"train": "a", "val": "b"},
            )


def records(counts: tuple[int, ...]) -> list[Record]:
    return [
        Record(id=f"{label}/{index}", label=label)
        for label, count in enumerate(counts)
        for index in range(count)
    ]


def test_a_stratified_split_keeps_proportions_and_shares_no_image() -> None:
    everything = records((100, 60, 40))
    parts = stratified_split(everything, val=0.2, test=0.1, seed=0)
    for split, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        counts = Counter(record.label for record in parts[split])
        assert counts == {0: 100 * share, 1: 60 * share, 2: 40 * share}, split
    names = [record.id for split in SPLITS for record in parts[split]]
    assert sorted(names) == sorted(record.id for record in everything)


def test_a_stratified_split_depends_on_its_seed_alone() -> None:
    first, again, other = (
        stratified_split(records((50, 50)), val=0.2, test=0.2, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["test"] != other["test"]


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (0.2, 0), (0.5, 0.5), (0.7, 0.6)])
def test_shares_that_leave_a_split_empty_are_refused(val: float, test: float) -> None:
    with pytest.raises(ViewfinderError, match=f"val={val} and test={test}"):
        stratified_split(records((50, 50)), val=val, test=test, seed=0)


def test_a_class_of_one_image_is_refused() -> None:
    with pytest.raises(ViewfinderError, match="can't be split by class"):
        stratified_split(records((50, 1)), val=0.2, test=0.2, seed=0)


def test_an_official_split_without_test_images_is_refused() -> None:
    found = [Record(id="a", split="train"), Record(id="b", split="val"), Record(id="c")]
    with pytest.raises(ViewfinderError, match=r"no images for test\b"):
        official_split(found)


def test_a_split_file_gives_back_what_was_written(tmp_path: Path) -> None:
    info = SplitInfo("pets", "val", ["cat", "dog"], {"data.zip": "12ab"})
    reading = read_document(tmp_path / "json", coco_document())
    contents = {record.id: png(n) for n, record in enumerate(reading.records)}
    path = tmp_path / "val"
    with archive_of(tmp_path / "raw", contents) as archive:
        write_split(path, reading.records, archive, reading.annotations, info)
    split = SplitFile(path)
    assert len(split) == 2
    assert split.info == info
    row = split.row(0, ["id", "image", "width", "height", "objects"])
    assert (row["id"], row["width"], row["height"]) == ("pictures/a.png", 30, 20)
    assert row["image"]["bytes"] == contents["pictures/a.png"]
    assert [item["bbox"] for item in row["objects"]] == [[10, 5, 20, 10]] * 4
    assert [item["rle"] for item in row["objects"]] == [
        item.rle for item in reading.records[0].objects or ()
    ]
    assert split.row(1, ["objects"]) == {"objects": []}
    before = split.digest()
    shard = path / "00000.arrow"
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert split.digest() != before


@pytest.mark.parametrize("content", [b"no image at all", b"", png(0)[:200]])
def test_an_unreadable_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    info = SplitInfo("pets", "val", ["cat", "dog"], {})
    with archive_of(tmp_path, {"good.png": png(1), "dog/bad.png": content}) as archive:
        found = [Record(id="good.png", label=0), Record(id="dog/bad.png", label=1)]
        with pytest.raises(ViewfinderError, match=r"data\.zip.*'dog/bad\.png'"):
            write_split(tmp_path / "val", found, archive, ["label"], info)


def test_an_image_that_the_archive_lacks_is_refused_by_name(tmp_path: Path) -> None:
    info = SplitInfo("pets", "val", ["cat", "dog"], {})
    with archive_of(tmp_path, {"a.png": png(1)}) as archive:
        with pytest.raises(ViewfinderError, match=r"'b\.png'"):
            write_split(tmp_path / "x", [Record(id="b.png")], archive, [], info)


def test_a_file_that_is_no_split_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pets" / "val"
    with pytest.raises(ViewfinderError, match="split@pets"):
        SplitFile(path)
    path.mkdir(parents=True)
    with pytest.raises(ViewfinderError, match=r"00000\.arrow does not exist"):
        SplitFile(path)
    (path / "00000.arrow").write_bytes(b"something else entirely")
    with pytest.raises(ViewfinderError, match=r"val is not a split"):
        SplitFile(path)


def check_images(batch: dict[str, Any]) -> None:
    assert batch["image"].shape == (4, 3, 48, 64)
    assert batch["image"].dtype == torch.uint8
    assert len(set(batch["id"])) == 4


def inside(boxes: torch.Tensor) -> bool:
    limits = torch.tensor([64.0, 48.0, 64.0, 48.0])
    solid = (boxes[:, 2:] > boxes[:, :2]).all()
    return bool(solid and (boxes >= 0).all() and (boxes <= limits).all())


def test_batches_of_class_labels(project: Path) -> None:
    data = module(project, "folders", ClassLabel(), augmentations=shift())
    assert data.classes == ["cat", "dog"]
    for batch in (*data.train_dataloader(), next(iter(data.val_dataloader()))):
        check_images(batch)
        assert batch["label"].dtype == torch.int64
        expected = [int(name.split("_")[0]) for name in batch["id"]]
        assert batch["label"].tolist() == expected


def test_batches_of_grey_images(project: Path) -> None:
    options = {"augmentations": shift(), "size": (20, 30)}
    grey = module(project, "folders", ClassLabel(), channels=1, **options)
    colour = module(project, "folders", ClassLabel(), **options)
    for batch, other in zip(grey.train_dataloader(), colour.train_dataloader(), strict=True):
        assert batch["image"].shape == (4, 1, 20, 30)
        assert batch["image"].dtype == torch.uint8
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        expected = (other["image"].float() * weights).sum(dim=1, keepdim=True)
        assert (batch["image"].float() - expected).abs().max() <= 1


def test_batches_of_single_boxes(project: Path) -> None:
    data = module(project, "single", SingleBox(), augmentations=shift())
    assert data.classes == list(CLASSES)
    for batch in (*data.train_dataloader(), next(iter(data.val_dataloader()))):
        check_images(batch)
        assert batch["label"].shape == (4,)
        assert batch["label"].dtype == torch.int64
        assert batch["box"].shape == (4, 4)
        assert batch["box"].dtype == torch.float32
        assert inside(batch["box"])


def test_batches_of_boxes(project: Path) -> None:
    data = module(project, "scenes", Boxes(), augmentations=shift())
    assert data.classes == list(CLASSES)
    for batch in (*data.train_dataloader(), next(iter(data.val_dataloader()))):
        check_images(batch)
        assert isinstance(batch["boxes"], list)
        for boxes, labels in zip(batch["boxes"], batch["labels"], strict=True):
            assert boxes.shape == (len(labels), 4)
            assert (boxes.dtype, labels.dtype) == (torch.float32, torch.int64)
            assert inside(boxes)
    whole = next(iter(data.val_dataloader()))
    assert all(2 <= len(boxes) <= 4 for boxes in whole["boxes"])


def test_batches_of_masks(project: Path) -> None:
    data = module(project, "scenes", SemanticMask(), augmentations=shift())
    assert data.classes == ["background", *CLASSES]
    for batch in (*data.train_dataloader(), next(iter(data.val_dataloader()))):
        check_images(batch)
        assert batch["mask"].shape == (4, 48, 64)
        assert batch["mask"].dtype == torch.int64
        assert batch["mask"].min() == 0
        assert 0 < batch["mask"].max() <= 10


def test_masks_and_boxes_of_a_scene_agree(project: Path) -> None:
    size = {"size": (64, 64)}
    masks = next(iter(module(project, "scenes", SemanticMask(), **size).val_dataloader()))
    boxes = next(iter(module(project, "scenes", Boxes(), **size).val_dataloader()))
    assert masks["id"] == boxes["id"]
    for mask, found, labels in zip(masks["mask"], boxes["boxes"], boxes["labels"], strict=True):
        assert set(mask.unique().tolist()) - {0} == {label + 1 for label in labels.tolist()}
        left, top = found[:, :2].min(dim=0).values.tolist()
        right, bottom = found[:, 2:].max(dim=0).values.tolist()
        assert extent(mask.numpy() > 0) == [left, top, right, bottom]


def test_a_crowd_is_no_box_to_learn(tmp_path: Path) -> None:
    document = coco_document()
    del document["annotations"][3], document["annotations"][0]
    document["annotations"][0]["segmentation"] = [[0, 0, 5, 0, 5, 5, 0, 5]]
    document["annotations"][0]["bbox"] = [0, 0, 5, 5]
    reading = read_document(tmp_path / "json", document)
    contents = {record.id: png(n) for n, record in enumerate(reading.records)}
    path = tmp_path / "val"
    with archive_of(tmp_path / "raw", contents) as archive:
        info = SplitInfo("pets", "val", reading.classes, {})
        write_split(path, reading.records, archive, reading.annotations, info)
    row = SplitFile(path).row(0, Boxes.columns)
    targets = Boxes().targets(Boxes().sample(row))
    assert targets["boxes"].tolist() == [[0, 0, 5, 5]]
    assert targets["labels"].tolist() == [1]
    assert targets["crowd_boxes"].tolist() == [[10, 5, 20, 10]]


def test_colours_change_without_a_word_about_boxes(recwarn: pytest.WarningsRecorder) -> None:
    transform = Transform((8, 8), augmentations=[A.ColorJitter(brightness=(0.5, 0.6), p=1.0)])
    pixels = np.full((8, 8, 3), 200, np.uint8)
    sample = Sample(pixels, np.array([[1, 1, 5, 5]], np.float32), np.array([0]))
    changed = transform(sample, (0, 0, 0))
    assert changed.image.mean() < 150
    assert changed.boxes.tolist() == sample.boxes.tolist()
    assert not [item for item in recwarn if "box" in str(item.message)]


def test_augmentation_differs_between_epochs_and_samples(project: Path) -> None:
    data = module(project, "folders", ClassLabel(), augmentations=shift(), batch_size=12)
    plain = module(project, "folders", ClassLabel(), batch_size=12)
    first, second, unchanged = epoch(data, 0), epoch(data, 1), epoch(plain, 0)
    assert set(first) == set(second) == set(unchanged)
    for name in first:
        assert not torch.equal(first[name], unchanged[name])
        assert not torch.equal(first[name], second[name])
    view = ClassLabel()
    row = data.splits["train"].row(0, view.columns)
    one, other = (data.transform(view.sample(row), (5, 0, index)).image for index in (0, 1))
    assert not np.array_equal(one, other)


def test_augmentation_is_the_same_for_the_same_seed(project: Path) -> None:
    make = [
        module(project, "folders", ClassLabel(), augmentations=shift(), seed=seed, batch_size=12)
        for seed in (5, 5, 6)
    ]
    first, again, other = (epoch(data, 3) for data in make)
    assert list(first) == list(again)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert list(first) != list(other)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_augmentation_does_not_depend_on_the_number_of_workers(project: Path) -> None:
    alone = epoch(module(project, "folders", ClassLabel(), augmentations=shift()), 2)
    data = module(project, "folders", ClassLabel(), augmentations=shift(), num_workers=2)
    with_workers = epoch(data, 2)
    assert list(alone) == list(with_workers)
    assert all(torch.equal(alone[name], with_workers[name]) for name in alone)


def test_every_epoch_has_its_own_order_of_all_images(project: Path) -> None:
    data = module(project, "folders", ClassLabel(), batch_size=12)
    first, second = list(epoch(data, 0)), list(epoch(data, 1))
    assert first != second
    assert sorted(first) == sorted(second)


def test_validation_has_no_randomness(project: Path) -> None:
    data = module(project, "single", SingleBox(), augmentations=shift())
    plain = module(project, "single", SingleBox(), seed=99)
    for name in ("val_dataloader", "test_dataloader"):
        loader = getattr(data, name)()
        loader.sampler.set_epoch(4)
        batches, others = list(loader), list(getattr(plain, name)())
        assert sum(len(batch["id"]) for batch in batches) == COUNTS[name.split("_")[0]]
        for batch, other in zip(batches, others, strict=True):
            assert batch["id"] == other["id"] == sorted(batch["id"])
            assert torch.equal(batch["image"], other["image"])
            assert torch.equal(batch["box"], other["box"])


def make_sample() -> Sample:
    instances = np.zeros((2, 40, 60), np.uint8)
    instances[0, 4:12, 2:20] = 1
    instances[1, 20:36, 30:58] = 1
    mask = instances[0] * 3 + instances[1] * 5
    image = np.repeat(mask[..., None] * 40, 3, axis=2)
    boxes = np.array([extent(item) for item in instances], np.float32)
    return Sample(
        image, boxes=boxes, labels=np.array([2, 4]), mask=mask.astype(np.uint8), instances=instances
    )


@pytest.mark.parametrize("size", [(40, 60), (80, 120), (80, 60)])
def test_image_boxes_mask_and_instances_flip_together(size: tuple[int, int]) -> None:
    sample = make_sample()
    flipped = Transform(size, augmentations=[A.HorizontalFlip(p=1)])(sample, seed=(0,))
    assert flipped.image.shape == (*size, 3)
    assert flipped.labels.tolist() == [2, 4]
    assert flipped.mask is not None
    assert flipped.instances is not None
    for label, box, instance in zip(flipped.labels, flipped.boxes, flipped.instances, strict=True):
        assert extent(instance) == pytest.approx(box.tolist(), abs=1e-4)
        assert extent(flipped.mask == label + 1) == pytest.approx(box.tolist(), abs=1e-4)
    x = size[1] / 60
    np.testing.assert_allclose(flipped.boxes[:, [0, 2]] / x, [[40, 58], [2, 30]], atol=1e-4)
    if size == (40, 60):
        np.testing.assert_array_equal(flipped.image, sample.image[:, ::-1])


def test_boxes_that_leave_the_image_take_their_label_and_mask_along() -> None:
    crop = A.Crop(x_min=25, y_min=10, x_max=60, y_max=40, p=1)
    cropped = Transform((30, 35), augmentations=[crop])(make_sample(), seed=(0,))
    assert cropped.boxes.tolist() == [[5, 10, 33, 26]]
    assert cropped.labels.tolist() == [4]
    assert cropped.instances is not None
    assert len(cropped.instances) == 1
    assert extent(cropped.instances[0]) == [5, 10, 33, 26]


def test_what_comes_in_from_beyond_the_border_is_of_no_class() -> None:
    affine = list(build_augmentations(compose_augmentation("affine", (40, 60), ROOT)).values())
    sample = make_sample()
    sample.image[:] = 255
    beyond = []
    for seed in range(20):
        turned = Transform((40, 60), augmentations=affine)(sample, seed=(seed,))
        assert turned.mask is not None
        assert turned.instances is not None
        assert set(np.unique(turned.instances)) <= {0, 1}
        black = (turned.image == 0).all(axis=2)
        assert not turned.instances[:, black].any()
        beyond.append(turned.mask[black])
    known = np.concatenate(beyond)
    assert len(known) > 1000
    assert (known == IGNORE).all()


def test_without_a_seed_a_transform_only_resizes() -> None:
    sample = make_sample()
    same = Transform((40, 60), augmentations=[A.HorizontalFlip(p=1)])(sample)
    np.testing.assert_array_equal(same.image, sample.image)
    np.testing.assert_array_equal(same.boxes, sample.boxes)


@pytest.mark.parametrize(
    ("dataset", "view", "lacks", "able"),
    [
        ("folders", SingleBox, "boxes", "classification"),
        ("folders", Boxes, "boxes", "classification"),
        ("folders", SemanticMask, "masks", "classification"),
        (
            "scenes",
            ClassLabel,
            "one class label an image",
            "multilabel, detection, segmentation, instances",
        ),
        (
            "scenes",
            SingleBox,
            "exactly one object an image",
            "multilabel, detection, segmentation, instances",
        ),
        (
            "single",
            ClassLabel,
            "one class label an image",
            "multilabel, localization, detection, segmentation, instances",
        ),
    ],
)
def test_a_data_set_that_cannot_serve_a_task_says_what_it_lacks_and_can(
    project: Path, dataset: str, view: type[View], lacks: str, able: str
) -> None:
    with pytest.raises(ViewfinderError) as caught:
        module(project, dataset, view())
    message = str(caught.value)
    assert repr(dataset) in message
    assert f"lacks {lacks}" in message
    assert f"It can serve: {able}." in message
