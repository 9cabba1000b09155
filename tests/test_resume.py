"""A training that was cut off goes on, or starts anew, and ends as if nothing had happened."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from omegaconf import OmegaConf
from patches import make_task, patches, trainer, write_patches
from pytorch_lightning.callbacks import Callback

from viewfinder.assembly import build_task
from viewfinder.config import TRAINING_KEYS, compose_config
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.workers import WorkerType
from viewfinder.errors import ViewfinderError
from viewfinder.stages.trained import open_trained
from viewfinder.tasks import Classification
from viewfinder.training.fit import FitResult, fit
from viewfinder.training.model_folder import write_model
from viewfinder.training.resume import TRAINING_CODE, ResumeState, fingerprint, resume_state

ROOT = Path(__file__).parents[1]
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
    assert [row["epoch"] for row in result.history] == [1, 2]
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
    assert whole.seconds
    assert resumed.seconds is None  # the time before the cut is not known
    assert all(torch.equal(value, whole.weights[name]) for name, value in resumed.weights.items())
    validated = [row["epoch"] for row in whole.history if "val/accuracy" in row]
    assert validated == list(range(every, 7, every))


@pytest.mark.parametrize("worker_type", ["process", "thread"])
def test_a_training_with_workers_ends_the_same(
    worker_type: WorkerType, data: VisionDataModule, tmp_path: Path
) -> None:
    write_patches(tmp_path, "label")
    loaded = patches(tmp_path, Classification, num_workers=1, worker_type=worker_type)
    whole = finish(data, tmp_path / "whole", trainer(3))
    cut_off(loaded, tmp_path / "cut", trainer(3), epoch=3)
    assert finish(loaded, tmp_path / "cut", trainer(3)).history == whole.history


def test_a_fingerprint_and_dvc_know_what_a_training_depends_on() -> None:
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["do"]
    ours = "src/viewfinder/"
    code = {name.removeprefix(ours) for name in stage["deps"] if name.startswith(ours)}
    assert set(TRAINING_CODE) == code
    assert all((ROOT / ours / name).exists() for name in TRAINING_CODE)
    (keys,) = stage["params"][0].values()
    assert list(TRAINING_KEYS) == keys


@pytest.mark.parametrize("name", TRAINING_CODE)
def test_other_code_is_another_training(tmp_path: Path, name: str) -> None:
    code = tmp_path / "viewfinder"
    shutil.copytree(ROOT / "src" / "viewfinder", code)
    before = fingerprint({}, {}, code)
    changed = next((code / name).rglob("*.py"), code / name)
    changed.write_text(f"{changed.read_text()}# A remark.\n")
    assert fingerprint({}, {}, code) != before
    (code / "stages" / "evaluate.py").write_text("")
    after = fingerprint({}, {}, code)
    (code / "stages" / "export.py").write_text("")
    assert fingerprint({}, {}, code) == after


def test_other_weights_to_start_from_are_another_training(tmp_path: Path) -> None:
    code, weights = ROOT / "src" / "viewfinder", tmp_path / "weights.pt"
    found = []
    for content in (None, b"first", b"second"):
        if content is not None:
            weights.write_bytes(content)
        found.append(fingerprint({}, {}, code, [weights]))
    assert len(set(found)) == 3


def test_a_trained_model_needs_its_first_weights_no_more(tmp_path: Path) -> None:
    project = write_patches(tmp_path, "label")
    weights = tmp_path / "weights.pt"
    overrides = ["dataset=digits", "image.size=[16,16]", "model=timm_classifier"]
    config = compose_config(overrides, ROOT)
    classes = patches(project, Classification).classes
    torch.save(build_task(config, classes).model.state_dict(), weights)
    config = compose_config([*overrides, f"model.weights={weights}"], ROOT)
    task = build_task(config, classes)
    weights.unlink()
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    plain["dataset"] = {"name": "patches"}
    write_model(folder, task.state_dict(), {"classes": classes, "run_id": None, "config": plain})
    opened = open_trained(folder, project)
    for name, value in task.state_dict().items():
        assert torch.equal(value, opened.task.state_dict()[name])
    assert opened.settings["model"]["weights"] == str(weights)


def test_a_training_that_never_began_leaves_no_state(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError), resume_state(tmp_path, "small", "a" * 16) as state:
        state.remember_run("some run")
        raise ViewfinderError("refused")
    assert list(tmp_path.iterdir()) == []


def test_success_removes_the_states_of_the_same_experiment(
    data: VisionDataModule, tmp_path: Path
) -> None:
    cut_off(data, tmp_path, trainer(2), epoch=2)
    kept = ["other-" + "b" * 16, "small-one-" + "c" * 16]
    for name in kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.ckpt").touch()
    with resume_state(tmp_path, "small", "d" * 16) as busy:
        (busy.folder / "last.ckpt").touch()
        with resume_state(tmp_path, "small", "e" * 16):
            pass
        folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
        assert folders == [kept[0], "small-" + "d" * 16, kept[1]]
