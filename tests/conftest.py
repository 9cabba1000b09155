"""A small copy of the repository, in which the real pipeline runs in seconds."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from viewfinder.cli import main

REPOSITORY = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]

Call = Callable[..., str]

_OF_THE_CALLER = {"MLFLOW_TRACKING_URI", "VIEWFINDER_MLFLOW", "VIEWFINDER_DEBUG"}
_LONGEST = (
    "test_pipeline",
    "test_training_failures",
    "test_sweep_callback",
    "test_tracking",
    "test_bad_input",
    "test_evaluation",
    "test_config",
    "test_export",
    "test_detector_export",
    "test_add",
    "test_analysis",
    "test_compare",
)
_SMALL_DATA = {
    "digit_scenes": {"train": 24, "val": 8, "test": 8},
    "single_digits": {"train": 24, "val": 8, "test": 8},
}
_SMALL_TRAINER = {"max_epochs": 1, "limit_train_batches": 2}


def pytest_configure() -> None:
    """Let tests interrupt commands, also where the suite itself runs in the background.

    A shell starts background jobs with Ctrl-C ignored, and every process below inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker waits for one in the end."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def _tracked_files() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [name for name in listing if name != "dvc.lock" and (REPOSITORY / name).is_file()]


def make_clone(folder: Path) -> Path:
    """Copy the repository as a commit of its own, with small data sets and short trainings."""
    for name in _tracked_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)
    for dataset, counts in _SMALL_DATA.items():
        path = folder / "conf" / "dataset" / f"{dataset}.yaml"
        config = yaml.safe_load(path.read_text())
        config["source"]["counts"] = counts
        path.write_text(yaml.safe_dump(config, sort_keys=False))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for section in params["experiments"].values():
        section["trainer"] = dict(_SMALL_TRAINER)
        section["loader"] = {"batch_size": 8}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)
    return folder


def user_environment(**variables: str) -> dict[str, str]:
    """Return the environment of a user who activated the virtual environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "tester",
        "GIT_AUTHOR_EMAIL": "tester@example.org",
        "GIT_COMMITTER_NAME": "tester",
        "GIT_COMMITTER_EMAIL": "tester@example.org",
        **variables,
    }


def runner(folder: Path, **variables: str) -> Run:
    """Return a function that runs a command in ``folder`` as a user of the clone would."""
    environment = user_environment(**variables)

    def run(*words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if status is not None:
            assert done.returncode == status, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in this process, which has loaded the libraries already.

    The fixture is a function of the folder, the words and the expected exit status, and returns
    what went to stderr.
    """
    for name in _OF_THE_CALLER:
        monkeypatch.delenv(name, raising=False)

    def call(folder: Path, *words: str, status: int = 0) -> str:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["viewfinder"])  # a Hydra application replaces them
            patch.setenv("HYDRA_FULL_ERROR", "1")
            capfd.readouterr()
            assert main(words) == status
            return capfd.readouterr().err

    return call


@pytest.fixture(autouse=True)
def _no_log_handlers() -> None:
    """Take Hydra's log handlers away: they hold the closed streams of the test that ran it."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) in (logging.StreamHandler, logging.FileHandler):
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small clone in which the whole pipeline ran once."""
    folder = make_clone(tmp_path_factory.mktemp("clone") / "viewfinder")
    runner(folder)("dvc", "repro")
    return folder


@pytest.fixture
def run(clone: Path) -> Run:
    """Run a command in the clone."""
    return runner(clone)
