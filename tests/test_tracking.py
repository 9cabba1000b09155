"""The MLflow layer, against a real SQLite store and a real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from viewfinder import tracking
from viewfinder.errors import ViewfinderError
from viewfinder.tracking.lineage import config_hash

SOURCE = Path(__file__).parents[1] / "src"


def make_workspace(folder: Path) -> Path:
    """Make the least that counts as a checkout."""
    (folder / "conf").mkdir(parents=True)
    (folder / "params.yaml").touch()
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkout for the module: the first use of a store takes seconds. Its path has a space."""
    return make_workspace(tmp_path_factory.mktemp("my checkout"))


@pytest.fixture(autouse=True)
def clean_surroundings(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the checkout, without the user's own settings."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "VIEWFINDER_"))]:
        monkeypatch.delenv(name)
    for name in ("RANK", "LOCAL_RANK", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(checkout)


@pytest.fixture
def client() -> Any:
    """MLflow's own client, to look at what was kept."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking.tracking_uri())


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a subprocess that can import the package."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), **extra}


def python(code: str, cwd: Path, **extra: str) -> subprocess.Popen[str]:
    """Start Python code in its own process group."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- where and whether -------------------------------------------------------------------------


def test_import_brings_no_mlflow(checkout: Path) -> None:
    code = (
        "import sys; from viewfinder import tracking; tracking.lineage_tags(config={'a': 1});"
        "tracking.tracking_uri();"
        "heavy = {'mlflow', 'torch', 'pytorch_lightning'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    process = python(code, checkout)
    assert process.wait() == 0, process.communicate()[1]


def test_store_lies_in_the_checkout_even_inside_a_dvc_experiment(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"sqlite:///{checkout}/mlflow.db"
    assert tracking.tracking_uri() == expected
    copy = checkout / ".dvc" / "tmp" / "exps" / "tmp123"
    if not copy.exists():
        make_workspace(copy)
    monkeypatch.chdir(copy)
    assert tracking.tracking_uri() == expected
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    assert tracking.tracking_uri() == "http://elsewhere:5000"


def test_switched_off_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_workspace(tmp_path / "off"))
    monkeypatch.setenv("VIEWFINDER_MLFLOW", "0")
    assert not tracking.enabled()
    with tracking.open_run(task="classification", name="cnn") as run:
        assert run.id is None
        assert run.logger() is None
        run.log_params({"a": 1})
        run.log_metrics({"loss": 1.0})
        run.log_objective(1.0, "val/loss", "min")
        run.log_input("digits", "data", "0", "training")
        run.log_text("text", "a.txt")
        run.log_artifact("missing.txt")
        run.log_artifacts("missing")
        run.set_tags({"a": "b"})
        assert run.log_onnx_model("missing.onnx", "model") is None
    assert {path.name for path in Path.cwd().iterdir()} == {"conf", "params.yaml"}


def test_only_the_main_process_of_distributed_training_tracks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tracking.enabled()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not tracking.enabled()
    monkeypatch.setenv("RANK", "0")
    assert tracking.enabled()


# --- life cycle --------------------------------------------------------------------------------


def test_finished_run_holds_everything_logged(client: Any, checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "curve.svg").write_text("<svg/>")
    with tracking.open_run(task="all", name="unet", tags={"config.hash": "abc"}) as run:
        assert run.id is not None
        assert client.get_run(run.id).info.status == "RUNNING"
        run.log_params({"model": {"name": "unet", "widths": [1, 2]}, "steps": [{"p": 0.5}]})
        sgd = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1, "momentum": None}
        run.log_params({"optimizer": sgd})
        run.log_params({f"many.{i}": i for i in range(250)})
        run.log_metrics({"mAP@50": 0.5, **{f"class_{i}": float(i) for i in range(1200)}}, step=3)
        run.log_metrics({"mAP@50": 0.75}, step=4)
        run.log_objective(0.75, "val/mAP", "max")
        run.set_tags({"colour": "blue"})
        run.log_text("hello", "notes/hello.txt")
        run.log_image(Image.new("RGB", (30, 20)), "val/image_1", 7)
        run.log_artifact(tmp_path / "plots" / "curve.svg", "plots")
        run.log_artifacts(tmp_path / "plots", "all_plots")
    kept = client.get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "unet"
    assert kept.data.tags["config.hash"] == "abc"
    assert kept.data.tags["colour"] == "blue"
    assert kept.data.tags["viewfinder.mode"] == "max"
    assert kept.data.tags["viewfinder.monitor"] == "val/mAP"
    assert kept.data.params["model.name"] == "unet"
    assert kept.data.params["model.widths"] == "[1, 2]"
    assert kept.data.params["steps.0.p"] == "0.5"
    assert kept.data.params["many.249"] == "249"
    assert kept.data.params["optimizer"] == "SGD"
    assert {name for name in kept.data.params if name.startswith("optimizer.")} == {"optimizer.lr"}
    assert kept.data.metrics["mAP_50"] == 0.75
    assert kept.data.metrics["class_1199"] == 1199
    assert kept.data.metrics["objective"] == 0.75
    assert [m.step for m in client.get_metric_history(run.id, "mAP_50")] == [3, 4]
    artifacts = checkout / "mlartifacts" / run.id / "artifacts"
    files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*.*")}
    (picture,) = [name for name in files if name.startswith("images/") and name.endswith(".png")]
    assert "val~image_1+step+7+" in picture
    files = {name for name in files if not name.startswith("images/")}
    assert files == {"notes/hello.txt", "plots/curve.svg", "all_plots/curve.svg"}


def test_long_param_is_cut_and_kept_whole_as_an_artifact(client: Any) -> None:
    value = "x" * 7000
    with tracking.open_run(task="long", name="run") as run:
        run.log_params({"classes": value})
    assert run.id is not None
    cut = client.get_run(run.id).data.params["classes"]
    assert len(cut) == 6000
    assert cut.endswith("x...")
    whole = client.download_artifacts(run.id, "long_params/classes.txt")
    assert Path(whole).read_text() == value


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "FAILED"),
        (ViewfinderError("bad"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(143), "KILLED"),
        (SystemExit("message"), "KILLED"),
        (SystemExit(0), "FINISHED"),
        (SystemExit(None), "FINISHED"),
    ],
)
def test_run_ends_as_its_block_does(client: Any, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)) as caught:
        with tracking.open_run(task="ends", name="run") as run:
            raise error
    assert caught.value is error
    assert run.id is not None
    ended = client.get_run(run.id).info
    assert ended.status == status
    assert ended.end_time is not None


def test_known_run_is_resumed(client: Any) -> None:
    with tracking.open_run(task="resume", name="train", tags={"git": "first"}) as first:
        first.log_params({"lr": 0.1, "export": {"opset": 20}})
    with tracking.open_run(
        task="resume", name="export", run_id=first.id, tags={"git": "second"}
    ) as second:
        assert second.id is not None
        assert second.id == first.id
        assert client.get_run(second.id).info.status == "RUNNING"
        second.log_params({"lr": 0.1, "export": {"opset": 21}, "new": 1})
    kept = client.get_run(second.id)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "train"
    assert kept.data.tags["git"] == "first"
    assert kept.data.params == {"lr": "0.1", "export.opset": "20", "new": "1"}
    assert kept.data.tags["param.export.opset"] == "21"
    assert "param.lr" not in kept.data.tags


@pytest.mark.parametrize("unknown", ["0123456789abcdef0123456789abcdef", "not an id"])
def test_unknown_run_becomes_a_new_one_with_its_lineage(client: Any, unknown: str) -> None:
    with tracking.open_run(task="clone", name="eval", run_id=unknown, tags={"git": "abc"}) as run:
        assert run.id not in (None, unknown)
    assert run.id is not None
    tags = client.get_run(run.id).data.tags
    assert tags["viewfinder.original_run_id"] == unknown
    assert tags["git"] == "abc"


def test_a_run_of_another_store_has_one_successor(client: Any) -> None:
    ids = []
    for name in ("evaluate", "export"):
        with tracking.open_run(task="clone", name=name, run_id="elsewhere") as run:
            ids.append(run.id)
    assert ids[0] == ids[1]
    assert client.get_run(ids[0]).info.status == "FINISHED"


def test_a_resumed_run_moves_to_the_new_parent(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWFINDER_PARENT_RUN", "dead_parent")
    with tracking.open_run(task="family", name="child") as run:
        pass
    monkeypatch.setenv("VIEWFINDER_PARENT_RUN", "new_parent")
    monkeypatch.setenv("VIEWFINDER_OVERRIDES", '["seed=1"]')
    with tracking.open_run(task="family", name="child", run_id=run.id):
        pass
    tags = client.get_run(run.id).data.tags
    assert tags["mlflow.parentRunId"] == "new_parent"
    assert tags["viewfinder.overrides"] == '["seed=1"]'


def test_deleted_run_becomes_a_new_one(client: Any) -> None:
    with tracking.open_run(task="clone", name="run") as first:
        pass
    assert first.id is not None
    client.delete_run(first.id)
    with tracking.open_run(task="clone", name="run", run_id=first.id) as second:
        assert second.id != first.id


def test_new_run_names_the_parent(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_PARENT_RUN", "the_parent")
    with tracking.open_run(task="family", name="child") as run:
        pass
    assert run.id is not None
    assert client.get_run(run.id).data.tags["mlflow.parentRunId"] == "the_parent"


def test_deleted_experiment_is_refused_with_the_mend(client: Any) -> None:
    with tracking.open_run(task="gone", name="run"):
        pass
    number = client.get_experiment_by_name("gone").experiment_id
    client.delete_experiment(number)
    with pytest.raises(ViewfinderError, match=f"(?s)'gone' was deleted.*restore -x {number}"):
        with tracking.open_run(task="gone", name="run"):
            pytest.fail("a run was opened in a deleted experiment")


def test_sigterm_as_system_exit_leaves_nothing_running(client: Any, checkout: Path) -> None:
    code = (
        "import signal, sys, time; from viewfinder import tracking\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "with tracking.open_run(task='signal', name='run') as run:\n"
        "    print(run.id, flush=True); time.sleep(60)"
    )
    process = python(code, checkout)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert client.get_run(run_id).info.status == "KILLED"


# --- first use, and stores that do not answer --------------------------------------------------


def test_first_use_by_parallel_processes(tmp_path: Path) -> None:
    fresh = make_workspace(tmp_path / "fresh")
    code = (
        "from viewfinder import tracking\n"
        "with tracking.open_run(task='shared', name='run') as run: run.log_metrics({'a': 1.0})"
    )
    processes = [python(code, fresh) for _ in range(4)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    # A first use is nobody's business: no migration log, no warning.
    assert outputs == [("", "")] * 4
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{fresh}/mlflow.db")
    experiments = [e for e in client.search_experiments() if e.name == "shared"]
    assert len(experiments) == 1
    runs = client.search_runs([experiments[0].experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 4


def test_unreachable_server_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    start = time.monotonic()
    with pytest.raises(ViewfinderError) as caught:
        with tracking.open_run(task="segmentation", name="run"):
            pytest.fail("a run was opened on a server that does not exist")
    assert time.monotonic() - start < 5
    for part in (uri, "Start it", "unset MLFLOW_TRACKING_URI", "VIEWFINDER_MLFLOW=0"):
        assert part in str(caught.value)


def test_user_settings_of_patience_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ViewfinderError):
        with tracking.open_run(task="segmentation", name="run"):
            pass
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"


@pytest.mark.parametrize(
    "uri",
    [
        "file:///tmp/mlruns",
        "sqlite:////dev/null/mlflow.db",
        "sqlite:///conf",
        "sqlite:///garbage.db",
        "postgresql+nodriver://user:secret@127.0.0.1:9/x",
        "postgresql+nodriver://user:sec@ret@127.0.0.1:9/x",
        "postgresql+nodriver://user:sec/ret@127.0.0.1:9/x",
        "htp://mistyped",
    ],
)
def test_store_that_cannot_be_opened_is_told(
    monkeypatch: pytest.MonkeyPatch, checkout: Path, uri: str
) -> None:
    (checkout / "garbage.db").write_text("not a database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ViewfinderError, match="unset MLFLOW_TRACKING_URI") as caught:
        with tracking.open_run(task="segmentation", name="run"):
            pass
    assert not any(word in str(caught.value) for word in ("secret", "sec@", "sec/", "ret@"))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE alembic_version SET version_num = 'ffffffffffff'", "mlflow db upgrade"),
        ("BEGIN EXCLUSIVE", "End the process that writes to it"),
    ],
)
def test_store_that_is_locked_or_of_another_version_is_told(
    checkout: Path, tmp_path: Path, damage: str, told: str
) -> None:
    with tracking.open_run(task="x", name="first"):
        pass
    shutil.copy(checkout / "mlflow.db", tmp_path / "mlflow.db")
    code = "from viewfinder import tracking\nwith tracking.open_run(task='x', name='y'): pass"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute(damage)
        if damage.startswith("UPDATE"):
            database.commit()
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        opened = python(code, checkout, MLFLOW_TRACKING_URI=uri)
        _, error = opened.communicate(timeout=120)
    assert opened.returncode != 0
    assert "ViewfinderError" in error
    assert told in error


def test_full_disk_is_told(client: Any, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    weights = tmp_path / "weights.bin"
    weights.write_bytes(bytes(6_000_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(ViewfinderError, match="make room"):
            with tracking.open_run(task="disk", name="run") as run:
                resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, limits[1]))
                run.log_artifact(weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run.id is not None
    assert client.get_run(run.id).info.status == "FAILED"


def test_missing_artifact_is_not_blamed_on_the_store(client: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        with tracking.open_run(task="disk", name="run") as run:
            run.log_onnx_model(tmp_path / "missing.onnx", "model")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server, killed at the end if not before."""
    uri = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", uri.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server_artifacts")]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(
            MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until_healthy(uri, process)
        yield uri, process
    finally:
        stop(process)


def wait_until_healthy(uri: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for a server's health page."""
    for _ in range(300):
        assert process.poll() is None, "the MLflow server did not start"
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).read()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the MLflow server did not answer in a minute")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process group that this test started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_server_takes_a_run_and_its_loss_is_told(
    server: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    uri, process = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with tracking.open_run(task="segmentation", name="run") as run:
        run.log_params({"a": 1})
        run.log_metrics({"loss": 1.0, "empty": float("nan")})
        run.log_text("hello", "hello.txt")
    assert run.id is not None
    client = MlflowClient(uri)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert (
        Path(client.download_artifacts(run.id, "hello.txt", str(tmp_path))).read_text() == "hello"
    )
    with pytest.raises(ViewfinderError, match=uri) as caught:
        with tracking.open_run(task="segmentation", name="run") as run:
            logger = run.logger()
            stop(process)
            start = time.monotonic()
            assert logger is not None
            logger.log_metrics({"loss": 0.5}, step=1)
    assert time.monotonic() - start < 10
    assert "could not be ended" in "".join(caught.value.__notes__)


# --- Lightning ---------------------------------------------------------------------------------


def test_lightning_logs_into_the_run_and_does_not_end_it(client: Any, tmp_path: Path) -> None:
    import torch
    from pytorch_lightning import LightningModule, Trainer
    from torch.utils.data import DataLoader

    class Line(LightningModule):
        def __init__(self, lr: float) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            loss: torch.Tensor = self.layer(batch).square().mean()
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with tracking.open_run(task="lightning", name="run") as run:
        assert run.id is not None
        run.log_params({"lr": "two knobs of one name do not clash"})
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=run.logger() or False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        points: Any = [torch.ones(1)] * 4
        trainer.fit(Line(lr=0.1), DataLoader(points, batch_size=2))
        assert client.get_run(run.id).info.status == "RUNNING"
    kept = client.get_run(run.id)
    assert kept.info.status == "FINISHED"
    assert len(client.get_metric_history(run.id, "train/loss")) == 2
    assert kept.data.params == {"lr": "two knobs of one name do not clash"}
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert list(tmp_path.iterdir()) == []


# --- data sets, models, lineage ----------------------------------------------------------------


def test_data_set_is_an_input_of_the_run(client: Any, checkout: Path) -> None:
    with tracking.open_run(task="inputs", name="run") as run:
        source = checkout / "data" / "splits" / "digits" / "train.arrow"
        run.log_input("digits", source, "d" * 64, "training")
        run.log_input("digits", "data/splits/digits/test.arrow", "e" * 36, "testing")
    assert run.id is not None
    inputs = client.get_run(run.id).inputs.dataset_inputs
    by_role = {entry.tags[0].value: entry.dataset for entry in inputs}
    assert set(by_role) == {"training", "testing"}
    assert json.loads(by_role["training"].source) == {"uri": "data/splits/digits/train.arrow"}
    assert by_role["training"].digest == "d" * 36
    assert by_role["testing"].digest == "e" * 36


def write_onnx(path: Path, scale: float) -> Path:
    """Write a graph that scales uint8 images, with a free batch dimension."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["probabilities"]),
        ],
        "scale",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def test_onnx_model_is_logged_once_and_replaced_when_it_changes(
    client: Any, tmp_path: Path, checkout: Path
) -> None:
    import mlflow.onnx
    import onnxruntime  # type: ignore[import-untyped]

    path = write_onnx(tmp_path / "model.onnx", 2.0)
    with tracking.open_run(task="onnx", name="train") as run:
        run.log_params({"lr": 0.1})
        first = run.log_onnx_model(path, "model", {"classes": ["a", "b"]})
    with tracking.open_run(task="onnx", name="export", run_id=run.id) as again:
        assert again.log_onnx_model(path, "model", {"classes": ["a", "b"]}) == first
        write_onnx(path, 3.0)
        second = again.log_onnx_model(path, "model", {"classes": ["a", "b"]})
    assert second != first
    experiment = client.get_experiment_by_name("onnx").experiment_id
    (model,) = client.search_logged_models([experiment])
    assert model.model_id == second
    assert model.status == "READY"
    assert model.source_run_id == run.id
    assert model.params["lr"] == "0.1"

    folder = model.artifact_location.removeprefix("file://").replace("%20", " ")
    assert Path(folder).is_relative_to(checkout)
    info = mlflow.models.get_model_info(folder)
    assert set(info.flavors) == {"python_function", "onnx"}
    assert info.metadata == {"classes": ["a", "b"]}
    (image,) = info.signature.inputs.inputs
    assert (image.name, image.type, image.shape) == ("images", np.dtype("uint8"), (-1, 3, 4, 4))
    (output,) = info.signature.outputs.inputs
    assert (output.name, output.shape) == ("probabilities", (-1, 3, 4, 4))
    requirements = Path(folder, "requirements.txt").read_text().split()
    assert f"onnxruntime=={onnxruntime.__version__}" in requirements

    session = onnxruntime.InferenceSession(mlflow.onnx.load_model(folder).SerializeToString())
    (scaled,) = session.run(None, {"images": np.full((2, 3, 4, 4), 5, dtype=np.uint8)})
    assert scaled.shape == (2, 3, 4, 4)
    assert (scaled == 15).all()


def test_model_with_a_registered_version_outlives_its_successor(
    client: Any, tmp_path: Path
) -> None:
    path = write_onnx(tmp_path / "model.onnx", 2.0)
    with tracking.open_run(task="registered", name="run") as run:
        first = run.log_onnx_model(path, "model")
        client.create_registered_model("digits")
        client.create_model_version("digits", f"models:/{first}", run.id, model_id=first)
        second = run.log_onnx_model(write_onnx(path, 3.0), "model")
    experiment = client.get_experiment_by_name("registered").experiment_id
    models = client.search_logged_models([experiment])
    assert {model.model_id for model in models} == {first, second}


def test_lineage_tags_name_config_data_and_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_workspace(tmp_path / "project")
    monkeypatch.chdir(project)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    data: dict[str, str | Path] = {
        "split": "data/splits/digits",
        "archive": project / "data/raw/digits",
    }
    bare = tracking.lineage_tags(config={"a": 1}, data=data)
    assert not {name for name in bare if name.startswith(("dvc.", "git.", "mlflow.source.git"))}
    assert bare["version.torch"]
    assert bare["config.hash"] == config_hash({"a": 1})

    (project / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n"
        "  split@digits:\n    cmd: x\n"
        "    deps: [{path: data/raw/digits, hash: md5, md5: aaa.dir, size: 1, nfiles: 1}]\n"
        "    outs: [{path: data/splits/digits, hash: md5, md5: new.dir, size: 1, nfiles: 3}]\n"
        "  train@digits:\n    cmd: y\n"
        "    deps: [{path: data/splits/digits, hash: md5, md5: old.dir, size: 1, nfiles: 3}]\n"
    )
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-cat")
    tags = tracking.lineage_tags(data=data)
    assert tags["dvc.split"] == "new.dir"
    assert tags["dvc.archive"] == "aaa.dir"
    assert tags["dvc.exp_name"] == "puffy-cat"
    assert "config.hash" not in tags
    assert tracking.dvc_hash("data/splits/none") is None


def test_lineage_tags_know_the_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_workspace(tmp_path / "project")
    monkeypatch.chdir(project)

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        result = subprocess.run(["git", *who, *arguments], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    git("init")
    assert "git.dirty" not in tracking.lineage_tags()
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    git("add", ".")
    git("commit", "-m", "first")
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (project / "untracked").touch()
    tags = tracking.lineage_tags()
    assert tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert tags["git.dirty"] == "false"
    (project / "params.yaml").write_text("datasets: []\n")
    assert tracking.lineage_tags()["git.dirty"] == "true"


def test_config_hash_follows_values_not_their_order() -> None:
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert config_hash({"a": 1}) != config_hash({"a": 2})
