"""The same validation images epoch by epoch, beside a training that does not notice."""

import io
from pathlib import Path

import pytest
import torch
from patches import NORMALISATION, make_task, patches, trainer, write_patches
from PIL import Image

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.evaluation.describe import describe
from viewfinder.evaluation.epoch_pictures import EpochPictures
from viewfinder.evaluation.gallery import example_png
from viewfinder.models.fcos import FCOSDetector
from viewfinder.tasks import Classification, Detection, MultilabelClassification
from viewfinder.tasks.base import VisionTask
from viewfinder.training.fit import FitResult, prepare
from viewfinder.training.options import TrainingOptions


class Album:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.pictures: dict[tuple[int, int], Image.Image] = {}

    def keep(self, picture: Image.Image, number: int, epoch: int) -> None:
        assert (number, epoch) not in self.pictures
        self.pictures[number, epoch] = picture


def watched(
    data: VisionDataModule,
    task: VisionTask,
    state: Path,
    album: Album | None,
    epochs: int,
    options: TrainingOptions | None = None,
) -> FitResult:
    torch.manual_seed(1)
    training = prepare(task, data, trainer(epochs), state=state, options=options)
    observers = [EpochPictures(data.images("val", [0, 5]), album.keep)] if album else []
    return training.run(resume_from=None, logger=None, observers=observers)


def test_pictures_at_some_epochs_and_a_training_that_is_the_same(tmp_path: Path) -> None:
    data = patches(write_patches(tmp_path, "label"), Classification)
    album = Album()
    slow = {"optimizer": lambda groups: torch.optim.SGD(groups, 0.01)}
    seen = watched(data, make_task(Classification, **slow), tmp_path / "seen", album, 20)
    assert set(album.pictures) == {(n, e) for n in (1, 2) for e in (3, 6, 9, 12, 15, 18, 20)}
    unseen = watched(data, make_task(Classification, **slow), tmp_path / "unseen", None, 20)
    assert seen.history == unseen.history
    assert all(torch.equal(value, unseen.weights[name]) for name, value in seen.weights.items())
    first, last = album.pictures[1, 3], album.pictures[1, 20]
    assert first.size == last.size
    assert first.tobytes() != last.tobytes()


@pytest.mark.parametrize("ema", [None, 0.5])
def test_pictures_show_the_weights_and_thresholds_that_are_kept(
    tmp_path: Path, ema: float | None
) -> None:
    data = patches(write_patches(tmp_path, "labels"), MultilabelClassification)
    album = Album()
    task = make_task(MultilabelClassification)
    options = TrainingOptions(ema_decay=ema)
    result = watched(data, task, tmp_path / "state", album, 1, options)
    kept = make_task(MultilabelClassification)
    kept.load_state_dict(result.weights)
    batch = data.images("val", [0, 5])
    examples = describe(kept.name, kept.predict(batch["image"]), batch, kept.classes)
    for number, example in enumerate(examples, 1):
        expected = Image.open(io.BytesIO(example_png(example, kept.classes)))
        assert album.pictures[number, 1].tobytes() == expected.tobytes()


def test_pictures_of_a_network_that_finds_nothing(tmp_path: Path) -> None:
    data = patches(write_patches(tmp_path, "objects"), Detection, size=(64, 64))
    network = FCOSDetector(4, backbone="test_byobnet", channels=32, detections=20, head_layers=1)
    task = Detection(
        network,
        data.classes,
        **NORMALISATION,
        optimizer=lambda groups: torch.optim.SGD(groups, 1e-6),
    )
    album = Album()
    watched(data, task, tmp_path / "state", album, 1)
    assert set(album.pictures) == {(1, 1), (2, 1)}
