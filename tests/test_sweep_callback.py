"""Sweeps of a small real Hydra application under the basic and the joblib launcher."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "src"

APPLICATION = """
import os, sys, time
import hydra
from viewfinder import tracking

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(config):
    with tracking.open_run(task=config.task.name, name=config.model) as run:
        run.log_params({"model": config.model, "lr": config.lr})
        if config.mood == "fail" and config.model == "fpn":
            raise ValueError("no luck")
        if config.mood == "hang":
            open(f"hanging-{config.model}", "w").close()
            time.sleep(120)
        if config.mood == "die" and config.model == "fpn":
            os.kill(os.getpid(), 9)
        score = {"unet": 0.5, "fpn": 0.25}[config.model] + config.lr
        run.log_objective(score, "val/iou", config.task.mode)
        return score

if __name__ == "__main__":
    train()
"""

CONFIG = """
defaults:
  - task: segmentation
  - _self_
model: unet
lr: 0.1
mood: good
hydra:
  output_subdir: null
  sweep: {dir: multirun}
  callbacks:
    sweep: {_target_: viewfinder.tracking.sweep.SweepTracker}
"""


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables, made once: the migrations take two seconds."""
    folder = tmp_path_factory.mktemp("store")
    open_store(folder).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def application(tmp_path: Path, empty_store: Path) -> Path:
    """A checkout that holds a Hydra application."""
    shutil.copy(empty_store, tmp_path)
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    (tmp_path / "train.py").write_text(APPLICATION)
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    (tmp_path / "conf" / "task" / "segmentation.yaml").write_text("name: segmentation\nmode: max\n")
    (tmp_path / "conf" / "task" / "detection.yaml").write_text("name: detection\nmode: max\n")
    return tmp_path


def start(application: Path, *overrides: str, **extra: str) -> subprocess.Popen[str]:
    """Start the application in its own process group."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "VIEWFINDER_"))
    }
    return subprocess.Popen(
        [sys.executable, "train.py", *overrides],
        cwd=application,
        env={**ours, "PYTHONPATH": str(SOURCE), **extra},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def sweep(application: Path, *overrides: str, **extra: str) -> tuple[int, str]:
    """Run the application as a sweep; return its exit code and what it wrote to stderr."""
    process = start(application, "-m", *overrides, **extra)
    stderr = process.communicate(timeout=120)[1]
    return process.returncode, stderr


def open_store(folder: Path) -> Any:
    """Open the store of a checkout."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def kept(application: Path) -> tuple[Any, list[Any]]:
    """Return the parent and the children that the store holds."""
    client = open_store(application)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = list(client.search_runs(experiments))
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} <= {parent.info.run_id}
    return parent, children


@pytest.mark.parametrize(
    ("launcher", "mode", "winner", "objective"),
    [("basic", "max", "unet", 0.7), ("joblib", "min", "fpn", 0.45)],
)
def test_parent_ends_with_the_best_child(
    application: Path, launcher: str, mode: str, winner: str, objective: float
) -> None:
    overrides = ["+note='a b'", "model=fpn,unet", "lr=0.2", f"task.mode={mode}"]
    code, stderr = sweep(application, *overrides, f"hydra/launcher={launcher}")
    assert code == 0, stderr
    parent, children = kept(application)
    assert parent.info.status == "FINISHED"
    assert [child.info.status for child in children] == ["FINISHED"] * 2
    (best,) = [child for child in children if child.data.params["model"] == winner]
    assert parent.data.tags["viewfinder.best_run_id"] == best.info.run_id
    assert parent.data.tags["viewfinder.monitor"] == "val/iou"
    assert parent.data.metrics["objective"] == pytest.approx(objective)
    assert parent.data.params["model"] == "fpn,unet"
    assert parent.data.params["best.model"] == winner
    assert parent.data.params["best.lr"] == "0.2"
    assert parent.data.params["best.note"] == "'a b'"


def test_parent_of_a_sweep_over_tasks_lives_with_the_base_task(application: Path) -> None:
    code, stderr = sweep(application, "task=detection,segmentation")
    assert code == 0, stderr
    parent, children = kept(application)
    experiments = {e.experiment_id: e.name for e in open_store(application).search_experiments()}
    assert experiments[parent.info.experiment_id] == "segmentation"
    homes = {experiments[child.info.experiment_id] for child in children}
    assert homes == {"segmentation", "detection"}


def test_sweep_with_a_failed_child_leaves_its_parent_failed(application: Path) -> None:
    code, stderr = sweep(application, "mood=fail", "model=fpn,unet")
    assert code == 1
    assert "no luck" in stderr
    parent, children = kept(application)
    assert parent.info.status == "FAILED"
    assert sorted(child.info.status for child in children) == ["FAILED", "FINISHED"]


def test_killed_worker_leaves_nothing_running(application: Path) -> None:
    code, _ = sweep(
        application,
        "mood=die",
        "model=fpn,unet",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
    )
    assert code != 0
    parent, children = kept(application)
    assert parent.info.status == "FAILED"
    assert children
    assert not [child for child in children if child.info.status == "RUNNING"]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_ctrl_c_leaves_nothing_running(application: Path, launcher: str) -> None:
    process = start(application, "-m", "mood=hang", "model=fpn,unet", f"hydra/launcher={launcher}")
    deadline = time.monotonic() + 60
    while not list(application.glob("hanging-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    parent, children = kept(application)
    assert parent.info.status == "FAILED"
    assert children
    assert {child.info.status for child in children} == {"KILLED"}


def test_sweep_without_a_server_stops_before_the_first_job(application: Path) -> None:
    uri = "http://127.0.0.1:9"
    code, stderr = sweep(application, "model=fpn,unet", MLFLOW_TRACKING_URI=uri)
    assert code == 1
    assert uri in stderr
    assert "VIEWFINDER_MLFLOW=0" in stderr
    assert "Traceback" not in stderr
    assert not (application / "multirun").exists()


def test_sweep_with_tracking_off_keeps_nothing(application: Path) -> None:
    code, stderr = sweep(application, "model=fpn,unet", VIEWFINDER_MLFLOW="0")
    assert code == 0, stderr
    assert open_store(application).get_experiment_by_name("segmentation") is None


def test_single_run_has_no_parent(application: Path) -> None:
    process = start(application, "model=unet")
    assert process.wait(60) == 0, process.communicate()
    run, children = kept(application)
    assert children == []
    assert run.info.run_name == "unet"
