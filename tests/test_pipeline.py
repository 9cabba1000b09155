"""The whole pipeline in a small clone: `dvc repro`, what re-runs after a change, sweeps, resume."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import timm
import torch
import yaml
from conftest import Run, runner, user_environment
from mlflow import MlflowClient

EXPERIMENTS = ("classification", "localization", "detection", "segmentation")


def stages(said: str) -> set[str]:
    """Return the stages that ran, by what DVC said."""
    return set(re.findall(r"Running stage '([^']+)'", said))


def repro(run: Run) -> set[str]:
    """Run `dvc repro`; returns the stages that ran."""
    return stages(run("dvc", "repro").stdout)


def runs_of(clone: Path, task: str) -> list:
    client = MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(task)
    return client.search_runs([experiment.experiment_id])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_repro_makes_every_output(clone: Path, name: str) -> None:
    metrics = json.loads((clone / "reports" / name / "metrics.json").read_text())
    assert metrics
    assert all(0 <= metric["value"] <= 1 for metric in metrics.values() if "low" in metric)
    certificate = json.loads((clone / "exports" / name / "certificate.json").read_text())
    assert certificate["agrees"] is True
    assert (clone / "exports" / name / "model.onnx").stat().st_size > 10_000
    assert (clone / "reports" / name / "plots" / "predictions.png").stat().st_size > 1_000


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_one_run_and_one_model_a_training(clone: Path, name: str) -> None:
    own = json.loads((clone / "models" / name / "model.json").read_text())["run_id"]
    (tracked,) = [item for item in runs_of(clone, name) if item.info.run_id == own]
    assert tracked.data.tags["mlflow.runName"] == name
    assert tracked.info.status == "FINISHED"
    assert any(key.startswith("test/") for key in tracked.data.metrics)
    assert "train/loss" in tracked.data.metrics
    assert tracked.data.params["trainer.max_epochs"] == "1"
    client = MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    models = client.search_logged_models([tracked.info.experiment_id])
    assert [model.source_run_id for model in models].count(tracked.info.run_id) == 1
    assert {"config.yaml", "data", "test", "training"} <= {
        item.path for item in client.list_artifacts(tracked.info.run_id)
    }
    pictures = {item.path for item in client.list_artifacts(tracked.info.run_id, "images")}
    assert sum("val~image_6+step+1" in path and path.endswith(".png") for path in pictures) == 1
    (page,) = client.list_artifacts(tracked.info.run_id, "data")
    assert page.path == "data/report.html"


def test_second_repro_runs_nothing(run: Run) -> None:
    said = run("dvc", "repro").stdout
    assert stages(said) == set()
    assert "Data and pipelines are up to date." in said


def test_dvc_shows_metrics_plots_and_graph(run: Run, clone: Path) -> None:
    metrics = json.loads(run("dvc", "metrics", "show", "--json").stdout)
    assert "reports/detection/metrics.json" in json.dumps(metrics)
    run("dvc", "plots", "show", "--out", "plots")
    page = (clone / "plots" / "index.html").read_text()
    for shown in (
        "Loss of detection",
        "Confusion of localization",
        "curves.png",
        "predictions.png",
    ):
        assert shown in page
    for axis in ("epoch", "loss", "predicted class", "actual class"):
        assert re.search(rf'"title":\s*"{axis}"', page), axis
    with changed_section(clone, "detection", {"optimizer": {"lr": 0.002}}):
        assert "experiments.detection.optimizer.lr" in run("dvc", "params", "diff").stdout
    assert "train@detection" in run("dvc", "dag", "--dot").stdout


@contextmanager
def changed_section(clone: Path, name: str, changes: dict) -> Iterator[None]:
    """Change a section of params.yaml for a while."""
    path = clone / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    for key, value in changes.items():
        section = params["experiments"][name]
        section[key] = {**section.get(key, {}), **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    try:
        yield
    finally:
        path.write_text(before)


def test_other_weights_retrain_what_starts_from_them(run: Run, clone: Path) -> None:
    file = clone / "weights" / "start.pt"
    with changed_section(clone, "localization", {"overrides": ["model.weights=weights/start.pt"]}):
        torch.save(timm.create_model("test_resnet").state_dict(), file)
        run("dvc", "repro", "train@localization")
        config = json.loads((clone / "models/localization/model.json").read_text())["config"]
        assert config["weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        sums = {item.data.params.get("weights_sha256") for item in runs_of(clone, "localization")}
        assert config["weights_sha256"] in sums

        torch.save(timm.create_model("test_resnet").state_dict(), file)
        run("dvc", "repro", "configure@localization", "configure@detection")
        status = run("dvc", "status", "--json", "train@localization", "train@detection").stdout
        (change,) = json.loads(status).pop("train@localization")
        assert "train@detection" not in status
        assert change["changed deps"]["configs/localization.yaml"] == {"weights_sha256": "modified"}
    file.unlink()
    repro(run)


def test_an_export_option_reruns_only_the_export(run: Run, clone: Path) -> None:
    with changed_section(clone, "classification", {"export": {"tolerance": 0.002}}):
        assert repro(run) == {"configure@classification", "export@classification"}
    repro(run)


def test_a_comment_in_conf_reruns_only_configure(run: Run, clone: Path) -> None:
    path = clone / "conf" / "task" / "segmentation.yaml"
    before = path.read_text()
    path.write_text(f"# A remark.\n{before}")
    try:
        assert repro(run) == {f"configure@{name}" for name in EXPERIMENTS}
    finally:
        path.write_text(before)
        run("dvc", "repro")


def test_an_augmentation_that_a_training_has_not_reruns_no_training(run: Run, clone: Path) -> None:
    path = clone / "conf" / "augment" / "flips.yaml"
    before = path.read_text()
    later = ("evaluate@classification", "export@classification")
    path.write_text(before.replace("p: 0.5", "p: 1.0"))
    try:
        said = run("dvc", "repro", *later).stdout
        assert stages(said) == {"configure@classification", "split@digits"}
    finally:
        path.write_text(before)
        run("dvc", "repro", *later)


class TestAnExperimentWithAChangedKnob:
    """`dvc exp run` in the clone, once for all that is to be seen of it."""

    @pytest.fixture(scope="class")
    @staticmethod
    def said(clone: Path) -> Iterator[str]:
        """What `dvc exp run` said; until the last of the tests, the clone holds its results."""
        run = runner(clone)
        run("git", "add", "-A")
        run("git", "commit", "-q", "-m", "Lock")
        knob = "experiments.classification.trainer.limit_train_batches=4"
        yield run("dvc", "exp", "run", "--name", "warmer", "-S", knob).stdout
        run("git", "checkout", "--", "params.yaml", "dvc.lock")
        run("dvc", "checkout", "--force")

    def test_only_its_stages_run(self, said: str) -> None:
        assert stages(said) == {
            f"{stage}@classification" for stage in ("configure", "train", "evaluate", "export")
        }

    def test_it_and_its_tracking_run_have_its_name(self, said: str, run: Run, clone: Path) -> None:
        assert "warmer" in run("dvc", "exp", "list").stdout
        tracked = runs_of(clone, "classification")
        (warmer,) = (item for item in tracked if item.info.run_name == "classification warmer")
        assert warmer.data.params["trainer.limit_train_batches"] == "4"

    def test_dvc_shows_what_changed_since_the_last_commit(
        self, said: str, run: Run, clone: Path
    ) -> None:
        metrics = json.loads(run("dvc", "metrics", "diff", "--json").stdout)
        changed = metrics["reports/classification/metrics.json"]["log_loss.value"]
        assert changed["diff"] == changed["new"] - changed["old"] != 0
        assert "reports/detection/metrics.json" not in metrics
        run("dvc", "plots", "diff", "--out", "differences")
        pictures = {path.name for path in (clone / "differences" / "static").iterdir()}
        for revision in ("HEAD", "workspace"):
            for name in ("confusion", "precision_recall", "predictions", "heatmaps"):
                assert f"{revision}_reports_classification_plots_{name}.png" in pictures
        page = (clone / "differences" / "index.html").read_text()
        assert "Loss of classification" in page


def test_sweep_has_a_parent_and_children(run: Run, clone: Path) -> None:
    run(
        "viewfinder",
        "train",
        "-m",
        "+experiment=classification",
        "trainer=smoke",
        "optimizer.lr=1e-3,1e-2",
    )
    tracked = runs_of(clone, "classification")
    (parent,) = [item for item in tracked if item.data.tags["mlflow.runName"].startswith("sweep")]
    children = [
        item for item in tracked if item.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    assert {item.data.params["optimizer.lr"] for item in children} == {"0.001", "0.01"}
    assert {item.info.status for item in [parent, *children]} == {"FINISHED"}
    best = max(children, key=lambda item: item.data.metrics["objective"])
    assert parent.data.metrics["objective"] == best.data.metrics["objective"]


def test_mistyped_options_are_refused_with_the_options(run: Run) -> None:
    done = run("viewfinder", "train", "model=convnett", status=1)
    assert "convnet" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("viewfinder", "train", "optimizer.lrr=1", status=1)
    assert "Did you mean 'lr'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_training_goes_on_and_ends_the_same(clone: Path) -> None:
    untracked = {"VIEWFINDER_MLFLOW": "0"}
    run = runner(clone, **untracked)
    words = ("dvc", "repro", "train@classification")
    states, curves = clone / ".cache" / "viewfinder", clone / "reports/classification/curves.csv"
    with changed_section(clone, "classification", {"trainer": {"max_epochs": 6}}):
        process = subprocess.Popen(
            words, cwd=clone, env=user_environment(**untracked), start_new_session=True
        )
        deadline = time.monotonic() + 240
        while not list(states.glob("classification-*/last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGSTOP)
        directly = ("viewfinder", "train", "--config-dir", "configs", "--config-name")
        second = run(*directly, "classification", status=1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "Another process is training 'classification'" in second.stderr
        assert list(states.glob("classification-*/last.ckpt"))
        assert not curves.exists()

        again = run(*words)
        said = again.stdout + again.stderr
        assert "Resuming from" in said
        assert "epoch 1/6" not in said
        assert "epoch 6/6" in said
        assert not list(states.glob("classification-*"))
        resumed = curves.read_text()
        whole = run("dvc", "repro", "--force", "--single-item", *words[2:])
        assert "epoch 1/6" in whole.stdout + whole.stderr
        assert curves.read_text() == resumed
    run(*words)
