"""A training that was cut off goes on, or starts anew, and ends as if nothing had happened."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from patches import make_task, patches, trainer, write_patches
from pytorch_lightning.callbacks import Callback

from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.tasks import Classification
from viewfinder.training.fit import FitResult, fit
from viewfinder.training.resume import ResumeState, resume_state

MakeTrainer = Callable[..., pl.Trainer]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> VisionDataModule:
    return patches(write_patches(tmp_path_factory.mktemp("project"), "label"), Classification)


class Killed(BaseException):
    """As final as SIGKILL for what runs inside a trainer."""


class Killer(Callback):
    """Ends everything at the start of an epoch, counted from 1."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 == self._epoch:
            raise Killed


def killed_in(epoch: int, make: MakeTrainer) -> MakeTrainer:
    def make_mortal(**given: Any) -> pl.Trainer:
        return make(**(given | {"callbacks": [Killer(epoch), *given["callbacks"]]}))

    return make_mortal


def train(data: VisionDataModule, state: ResumeState, make: MakeTrainer) -> FitResult:
    torch.manual_seed(1)
    return fit(
        make_task(Classification),
        data,
        make,
        state=state.folder,
        resume_from=state.last_checkpoint,
        logger=None,
    )


def cut_off(data: VisionDataModule, states: Path, make: MakeTrainer, epoch: int) -> Path:
    """Train until an epoch begins; returns the folder of the state."""
    with (
        pytest.raises(Killed),
        resume_state(states, "small", "0" * 16) as state,
    ):
        train(data, state, killed_in(epoch, make))
    return states / f"small-{'0' * 16}"


def finish(data: VisionDataModule, states: Path, make: MakeTrainer) -> FitResult:
    with resume_state(states, "small", "0" * 16) as state:
        return train(data, state, make)


def test_a_half_written_checkpoint_is_set_aside_and_training_starts_anew(
    data: VisionDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cut_off(data, tmp_path, trainer(2), epoch=2)
    last = folder / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with resume_state(tmp_path, "small", "0" * 16) as state:
        assert state.last_checkpoint is None
        assert (folder / "last.unreadable").is_file()
        result = train(data, state, trainer(2))
    assert [row["epoch"] for row in result.history] == [0, 1]
    said = capsys.readouterr().err
    assert f"{last} can't be read" in said
    assert "starts anew" in said


def test_checkpoints_do_not_travel_through_the_temporary_folder(
    data: VisionDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    folder = cut_off(data, tmp_path, trainer(2), epoch=2)
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("epoch", [4, 5])
def test_a_training_ends_the_same_however_often_it_is_validated(
    data: VisionDataModule, tmp_path: Path, every: int, epoch: int
) -> None:
    make = trainer(6, check_val_every_n_epoch=every)
    whole = finish(data, tmp_path / "whole", make)
    cut_off(data, tmp_path / "cut", make, epoch)
    resumed = finish(data, tmp_path / "cut", make)
    assert resumed.history == whole.history
    assert (resumed.best_epoch, resumed.score) == (whole.best_epoch, whole.score)
    assert all(torch.equal(value, whole.weights[name]) for name, value in resumed.weights.items())
    validated = [row["epoch"] for row in whole.history if "val/accuracy" in row]
    assert validated == list(range(every - 1, 6, every))
