"""What can go wrong while a stage runs ends in one line, and nothing is lost."""

import io
import re
import resource
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import Call, Run, make_clone, runner, user_environment
from mlflow import MlflowClient

from viewfinder.data.archive import write_checksums

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the digits downloaded and split, and nothing trained."""
    folder = make_clone(tmp_path_factory.mktemp("prepared") / "viewfinder")
    for stage in ("download", "split"):
        runner(folder)("viewfinder", stage, "digits")
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it for each test to spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "viewfinder"))


@pytest.fixture
def run(project: Path) -> Run:
    return runner(project)


def the_error(said: str) -> str:
    """Return the one message with which a command failed."""
    assert "Traceback" not in said
    (start,) = re.finditer(r"^error: ", said, re.MULTILINE)
    return said[start.end() :]


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_archive_that_changed_is_refused(project: Path, run: Run) -> None:
    before = everything(project / "data" / "splits")
    (archive,) = (project / "data" / "raw" / "digits").glob("*.zip")
    archive.chmod(0o644)
    with archive.open("ab") as file:
        file.write(b"more")
    error = the_error(run("viewfinder", "split", "digits", status=1).stderr)
    assert archive.name in error
    assert "dvc repro --force download@digits" in error
    assert everything(project / "data" / "splits") == before


def test_an_unreadable_image_is_named(project: Path, run: Run) -> None:
    before = everything(project / "data" / "splits")
    folder = project / "data" / "raw" / "digits"
    (archive,) = folder.glob("*.zip")
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    broken = sorted(members)[40]
    members[broken] = members[broken][:30]
    archive.unlink()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)
    error = the_error(run("viewfinder", "split", "digits", status=1).stderr)
    assert broken in error
    assert "not a readable image (30 bytes)" in error
    assert everything(project / "data" / "splits") == before


def test_a_data_set_that_cannot_serve_a_task_is_refused(project: Path, call: Call) -> None:
    words = ("train", "+experiment=segmentation", "dataset=digits")
    error = the_error(call(project, *words, status=1))
    assert "'digits'" in error
    assert "masks" in error


def test_a_training_without_split_files_names_the_command(project: Path, call: Call) -> None:
    shutil.rmtree(project / "data" / "splits")
    error = the_error(call(project, "train", "+experiment=classification", status=1))
    assert "data/splits/digits/train" in error
    assert "dvc repro split@digits" in error
    assert "`viewfinder download digits` and then `viewfinder split digits`" in error


def test_a_missing_section_is_named(project: Path, run: Run) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    del params["experiments"]["detection"]
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    error = the_error(run("viewfinder", "configure", "detection", status=1).stderr)
    assert "'detection'" in error
    assert not (project / "configs").exists()


@pytest.mark.parametrize("stage", ["evaluate", "export"])
def test_a_stage_before_its_training_names_the_command(
    project: Path, call: Call, stage: str
) -> None:
    call(project, "configure", "classification")
    error = the_error(call(project, stage, "classification", status=1))
    assert "dvc repro train@classification" in error
    assert not (project / "reports").exists()
    assert not (project / "exports").exists()


def test_a_disk_that_fills_up_leaves_the_last_output_whole(project: Path) -> None:
    before = everything(project / "data")
    limit = MEGABYTE // 8
    done = subprocess.run(
        ["viewfinder", "split", "digits"],
        cwd=project,
        env=user_environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in the_error(done.stderr)
    assert everything(project / "data") == before


def test_a_training_without_its_tracking_server_does_not_start(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    error = the_error(call(project, "train", "+experiment=classification", status=1))
    assert "http://127.0.0.1:9" in error
    assert "VIEWFINDER_MLFLOW=0" in error
    assert not list(project.rglob("weights.pt"))


def test_ctrl_c_ends_a_training_that_can_go_on(project: Path, run: Run) -> None:
    short = ["trainer.limit_train_batches=4", "trainer.limit_val_batches=1"]
    words = ["viewfinder", "train", "+experiment=classification", "trainer.max_epochs=20", *short]
    process = subprocess.Popen(
        words, cwd=project, env=user_environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/20"):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error: Interrupted" in said
    assert "Traceback" not in said
    assert not list((project / "outputs").rglob("model"))
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    ids = [item.experiment_id for item in client.search_experiments()]
    assert [item.info.status for item in client.search_runs(ids)] == ["KILLED"]
    again = run(*words)
    assert "Resuming from" in again.stderr
    assert "epoch 1/20" not in again.stderr
    assert [item.info.status for item in client.search_runs(ids)] == ["FINISHED"]
