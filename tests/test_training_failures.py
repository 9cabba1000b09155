"""Trainings that can't go on, and trainings in two processes, through `viewfinder train`."""

import json
import os
import pty
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Run, runner, user_environment
from mlflow import MlflowClient
from omegaconf import OmegaConf
from patches import NORMALISATION, Annotation, TinyNet, make_task, patches, trainer, write_patches
from torch import Tensor, nn

from viewfinder.assembly import build_task, build_training_options
from viewfinder.config import compose_config
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.models.localizer import Localizer
from viewfinder.models.segmenter import smp_model
from viewfinder.stages.train import train
from viewfinder.stages.trained import load_task
from viewfinder.tasks import (
    Classification,
    Detection,
    Localization,
    SemanticSegmentation,
    VisionTask,
)
from viewfinder.training.fit import fit
from viewfinder.training.model_folder import write_model
from viewfinder.training.rehearsal import rehearse, rehearse_alone

ROOT = Path(__file__).parents[1]
TRAIN = ("viewfinder", "train", "dataset=patches", "model=tiny", "image.size=[16,16]")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the data set ``patches`` and a tiny network."""
    folder = write_patches(tmp_path_factory.mktemp("project"), "label")
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "params.yaml").write_text("experiments: {}\n")
    (folder / "conf" / "dataset" / "patches.yaml").write_text("name: patches\n")
    model = {"_target_": "patches.TinyNet", "norm": False}
    (folder / "conf" / "model" / "tiny.yaml").write_text(yaml.safe_dump(model))
    return folder


@pytest.fixture(scope="module")
def data(project: Path) -> VisionDataModule:
    return patches(project, Classification)


def paths() -> dict[str, str]:
    given = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), given])}


@pytest.fixture
def run(project: Path) -> Run:
    return runner(project, **paths())


def statuses(project: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    ids = [item.experiment_id for item in client.search_experiments()]
    return [item.info.status for item in client.search_runs(ids)]


class Diverging(TinyNet):
    """Returns no numbers from its n-th training step on."""

    def __init__(self, last: int) -> None:
        super().__init__(4)
        self.left = last

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.left -= 1
        return super().forward(images) * (1 if self.left >= 0 else torch.nan)


def classifier(network: nn.Module, **options: Any) -> Classification:
    return Classification(
        network,
        list("abcd"),
        **NORMALISATION,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.25),
        **options,
    )


def test_a_loss_that_is_no_number_stops_at_once_and_keeps_the_best(
    data: VisionDataModule, tmp_path: Path
) -> None:
    network = Diverging(last=8)  # six steps an epoch
    with pytest.raises(ViewfinderError) as caught:
        fit(classifier(network), data, trainer(4), state=tmp_path, resume_from=None, logger=None)
    message = str(caught.value)
    assert "epoch 2, step 3" in message
    assert "learning rate 0.25" in message
    assert "optimizer.lr" in message
    assert network.left == -1
    assert f"is kept in {tmp_path / 'best.ckpt'}: ++model.weights=PATH" in message
    kept = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


@pytest.mark.parametrize(
    ("annotation", "kind", "words"),
    [
        ("label", Classification, ["model=tiny"]),
        (
            "mask",
            SemanticSegmentation,
            ["+experiment=segmentation", "model.encoder=tu-test_resnet"],
        ),
    ],
)
def test_a_checkpoint_gives_the_whole_network_its_weights(
    project: Path, annotation: Annotation, kind: type[VisionTask], words: list[str], tmp_path: Path
) -> None:
    config = compose_config([*words, "dataset=patches", "image.size=[32,32]"], project)
    made = patches(write_patches(tmp_path / "data", annotation), kind, size=(32, 32))
    trained = build_task(config, ["a", "b", "c", "d"])
    state = tmp_path / "state"
    fit(trained, made, trainer(1), state=state, resume_from=None, logger=None)
    given = [*words, "dataset=patches", f"++model.weights={state / 'best.ckpt'}"]
    again = build_task(compose_config(given, project), ["a", "b", "c", "d"])
    for name, value in trained.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    chosen = compose_config(given, project)
    OmegaConf.resolve(chosen)
    description = {"classes": again.classes, "config": OmegaConf.to_container(chosen)}
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model", again.state_dict(), description)
    (state / "best.ckpt").rename(state / "moved.ckpt")
    assert load_task(tmp_path / "model")[0].classes == again.classes
    (state / "moved.ckpt").rename(state / "best.ckpt")
    with pytest.raises(ViewfinderError, match=r"best\.ckpt does not fit"):
        build_task(compose_config(given, project), ["a", "b"])


def test_a_diverging_training_is_a_failed_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for name in ("MLFLOW_TRACKING_URI", "VIEWFINDER_MLFLOW"):
        monkeypatch.delenv(name, raising=False)
    words = ("name=diverging", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant")
    config = compose_config([*TRAIN[2:], *words], project)
    with pytest.raises(ViewfinderError, match="The loss is not a finite number in epoch"):
        train(config, title="diverging", model=tmp_path / "model", report=tmp_path / "report")
    assert "FAILED" in statuses(project)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hungry_in_training", [True, False])
def test_memory_that_runs_out_is_explained(
    data: VisionDataModule, tmp_path: Path, hungry_in_training: bool
) -> None:
    class Hungry(TinyNet):
        def forward(self, images: Tensor) -> Tensor:
            if self.training == hungry_in_training:
                torch.empty(2**50, dtype=torch.uint8)
            return super().forward(images)

    with pytest.raises(ViewfinderError) as caught:
        fit(classifier(Hungry(4)), data, trainer(1), state=tmp_path, resume_from=None, logger=None)
    message = str(caught.value)
    assert "Out of memory on the CPU" in message
    assert "loader.batch_size=8" in message
    assert "image.size=[16, 16]" in message
    assert "loader.batch_size=4 trainer.accumulate_grad_batches=2" in message


def test_other_errors_of_a_network_stay_what_they_are(
    data: VisionDataModule, tmp_path: Path
) -> None:
    class Broken(TinyNet):
        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                raise RuntimeError("a bug")
            return super().forward(images)

    with pytest.raises(RuntimeError, match="a bug"):
        fit(classifier(Broken(4)), data, trainer(1), state=tmp_path, resume_from=None, logger=None)


@pytest.mark.parametrize(
    ("kind", "network", "found"),
    [
        (
            Classification,
            smp_model(4, architecture="fpn", encoder="tu-test_resnet"),
            "[2, 4, 32, 32]",
        ),
        (Classification, Localizer(4, backbone="test_resnet"), "Localization with tensors"),
        (Localization, TinyNet(4), "a tensor of shape [2, 4]"),
        (Detection, TinyNet(4), "a tensor of shape [2, 4]"),
    ],
)
def test_a_task_and_a_network_that_do_not_fit_are_both_named(
    tmp_path: Path, kind: type[VisionTask], network: nn.Module, found: str
) -> None:
    one = [0.0, 0.0, 0.0, 1.0]
    annotation = "label" if kind is Classification else "objects"
    chances = None if annotation == "label" else one
    made = patches(write_patches(tmp_path, annotation, chances=chances), kind, size=(32, 32))
    given: dict[str, Any] = {}
    if kind is Localization:
        given = {"losses": {"cross_entropy": 1.0, "l1": 1.0}}
    task = kind(network, list("abcd"), **NORMALISATION, **given)
    with pytest.raises(ViewfinderError) as caught:
        rehearse(task, made.val_dataloader())
    message = str(caught.value)
    assert f"The task {kind.name!r} and the network {type(network).__name__}" in message
    assert found in message
    assert "[2, 3, 32, 32]" in message


def test_images_that_a_network_cannot_take_are_named(data: VisionDataModule) -> None:
    task = classifier(nn.Sequential(nn.Conv2d(3, 4, 33), nn.Flatten()))
    with pytest.raises(ViewfinderError, match=r"Sequential can't take images of \[2, 3, 16, 16\]"):
        rehearse(task, data.val_dataloader())


def test_a_rehearsal_leaves_everything_as_it_was(data: VisionDataModule) -> None:
    task = make_task(Classification)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    generator = torch.get_rng_state()
    rehearse(task, data.val_dataloader())
    rehearse_alone(task, data.val_dataloader())
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert task.training
    assert task.model.training


def test_two_processes_end_as_one_does(project: Path, run: Run, tmp_path: Path) -> None:
    phases = "training.phases=[{freeze: backbone, epochs: 1}, {optimizer: {lr: 0.02}}]"
    knobs = ["optimizer=sgd", "scheduler=one_cycle", "trainer.max_epochs=3", phases]
    many = ["name=ddp", "loader.batch_size=8", "trainer.devices=2", "trainer.strategy=ddp"]
    before = len(statuses(project)) if (project / "mlflow.db").exists() else 0
    run(*TRAIN, *knobs, *many, "trainer.accelerator=cpu")
    assert len(statuses(project)) == before + 1
    (folder,) = (project / "outputs" / "ddp").iterdir()
    found = json.loads((folder / "report" / "train.json").read_text())
    weights = torch.load(folder / "model" / "weights.pt", weights_only=True)
    assert not list((project / ".cache" / "viewfinder").glob("ddp-*/*"))

    config = compose_config([*TRAIN[2:], *knobs], project)
    torch.manual_seed(config.seed)
    task = build_task(config, ["a", "b", "c", "d"])
    module = patches(project, Classification, batch_size=16, seed=config.seed)
    result = fit(
        task,
        module,
        trainer(3),
        state=tmp_path,
        resume_from=None,
        logger=None,
        options=build_training_options(config),
    )
    assert found["val/accuracy"] == pytest.approx(result.score, abs=1e-6)
    assert found["best_epoch"] == result.best_epoch
    with (folder / "report" / "curves.csv").open() as file:
        names, *rows = [line.strip().split(",") for line in file]
    for row, expected in zip(rows, result.history, strict=True):
        values = dict(zip(names, map(float, row), strict=True))
        for name in ("train/loss", "val/loss", "val/accuracy", "val/macro_f1"):
            assert values[name] == pytest.approx(expected[name], abs=1e-4), name
    for name, value in result.weights.items():
        torch.testing.assert_close(weights[name], value, atol=1e-4, rtol=1e-3)


def test_each_job_of_a_sweep_has_its_own_processes(project: Path) -> None:
    run = runner(project, VIEWFINDER_MLFLOW="0", **paths())
    model = {"_target_": "patches.SignedNet", "folder": str(project)}
    (project / "conf" / "model" / "signed.yaml").write_text(yaml.safe_dump(model))
    words = [*TRAIN, "model=signed", "name=sweep", "optimizer=sgd", "loader.batch_size=8"]
    several = ["trainer.strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    run(*words, *several, "trainer.max_epochs=1", "seed=1,2", "-m")
    (sweep,) = (project / "multirun" / "sweep").iterdir()
    assert {path.name for path in sweep.iterdir()} == {"0", "1", "multirun.yaml"}
    assert all((sweep / job / "report" / "train.json").is_file() for job in "01")
    assert not (project / "outputs" / "sweep").exists()
    processes = (project / "processes").read_text().split()
    assert len(processes) == 4
    assert len(set(processes)) == 3  # the first of both jobs, and a further one of each


def test_in_a_terminal_a_bar_shows_the_metric_and_ctrl_c_ends_it(project: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*TRAIN, "name=bar", "trainer.max_epochs=100000"],
        cwd=project,
        env=user_environment(VIEWFINDER_MLFLOW="0", COLUMNS="160", TERM="xterm", **paths()),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(theirs),
    )
    os.close(theirs)
    said = ""
    deadline = time.monotonic() + 120
    while "val/accuracy" not in said and time.monotonic() < deadline:
        said += os.read(ours, 4096).decode(errors="replace")
    os.write(ours, b"\x03")
    impatience = threading.Timer(60, process.kill)
    impatience.start()
    while True:
        try:
            more = os.read(ours, 4096).decode(errors="replace")
        except OSError:
            break
        said += more
    impatience.cancel()
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert "images/s" in said
    assert "left" in said
    assert "epoch 2/100000" in said
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert list((project / ".cache" / "viewfinder").glob("bar-*/last.ckpt"))


def _take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
