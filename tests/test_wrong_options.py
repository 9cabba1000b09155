"""A wrong option is one clear message, before anything is tracked or left behind."""

import sys
from pathlib import Path

import pytest
import torch
from patches import Annotation, patches_project

from viewfinder import cli

TINY = ["model=tiny", "image.size=[16,16]"]
TWO = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]
SEGMENTATION = ["+experiment=segmentation"]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[Annotation, Path]:
    """Checkouts whose data set ``patches`` has one kind of annotation."""
    return {
        annotation: patches_project(tmp_path_factory.mktemp(annotation), annotation)
        for annotation in ("label", "objects", "mask")
    }


@pytest.mark.parametrize(
    ("annotation", "words", "named"),
    [
        ("label", [*TINY, "+trainer.foo=1"], ["'trainer'", "'foo'"]),
        ("label", [*TINY, "trainer.precision=foo"], ["'trainer'", "'foo'"]),
        ("label", [*TINY, "trainer.accelerator=gpu"], ["'trainer'", "gpu backend"]),
        ("label", [*TINY, "trainer.limit_train_batches=0"], ["limit_train_batches is 0"]),
        ("label", [*TINY, "trainer.limit_val_batches=0.01"], ["limit_val_batches is 0.01"]),
        ("label", [*TINY, "trainer.check_val_every_n_epoch=30"], ["check_val_every_n_epoch is 30"]),
        (
            "label",
            [*TINY, *TWO, "training.find_batch_size=true"],
            ["find_batch_size can't be used with 2 processes", "trainer.devices=1"],
        ),
        ("label", [*TINY, "+optimizer.foo=1"], ["'optimizer'", "'foo'"]),
        ("label", [*TINY, "optimizer.lr=abc"], ["'optimizer'", "str"]),
        ("label", [*TINY, "optimizer=sgd", "optimizer.lr=-1"], ["'optimizer'", "rate: -1"]),
        ("label", [*TINY, "+scheduler.factory.foo=1"], ["'scheduler'", "'foo'"]),
        ("label", [*TINY, "seed=5000000000"], ["seed is 5000000000", "4294967295"]),
        ("label", [*TINY, "task._target_=viewfinder.tasks.Nope"], ["'task'", "'Nope'"]),
        ("label", [*TINY, "task._target_=torch.nn.Linear"], ["'task'", "VisionTask"]),
        ("label", [*TINY, "image=null"], ["image is None"]),
        ("label", [*TINY, "~model._target_"], ["model has no `_target_`"]),
        ("mask", [*SEGMENTATION, "image.size=[100,100]"], ["[2, 3, 100, 100]", "image.size"]),
        (
            "mask",
            [*SEGMENTATION, "model=deeplabv3plus", "image.size=[32,32]", "loader.batch_size=1"],
            ["DeepLabV3Plus", "one image", "loader.batch_size"],
        ),
        ("mask", ["task=segmentation"], ["'segmentation'", "LayerNetwork"]),
        ("objects", ["task=detection"], ["'detection'", "LayerNetwork"]),
    ],
)
def test_a_wrong_option_is_one_message_before_anything_is_tracked(
    projects: dict[Annotation, Path],
    annotation: Annotation,
    words: list[str],
    named: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "trainer.accelerator=gpu" in words and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    project = projects[annotation]
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", [])
    for name in ("HYDRA_FULL_ERROR", "MLFLOW_TRACKING_URI", "VIEWFINDER_DEBUG", "PL_GLOBAL_SEED"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert cli.main(["train", "dataset=patches", *words]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "Error executing job" not in said
    _, message = f"\n{said}".split("\nerror: ")
    assert all(part in message for part in named), said
    assert not (project / "mlflow.db").exists()
    states = project / ".cache" / "viewfinder"
    assert not states.exists() or list(states.iterdir()) == []
