"""The command line as a user meets it: help, light stages, and errors in one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_clone

from viewfinder import __version__

REPOSITORY = Path(__file__).parents[1]


def python(
    *words: str, cwd: Path = REPOSITORY, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "VIEWFINDER_DEBUG"}
    environment["PYTHONPATH"] = str(REPOSITORY / "src")
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def viewfinder(
    *words: str, cwd: Path = REPOSITORY, **variables: str
) -> subprocess.CompletedProcess[str]:
    return python("-m", "viewfinder", *words, cwd=cwd, **variables)


def test_help_names_every_stage() -> None:
    done = viewfinder("--help")
    assert done.returncode == 0, done.stderr
    for stage in (
        "configure",
        "download",
        "split",
        "train",
        "evaluate",
        "export",
        "predict",
        "compare",
        "results",
    ):
        assert stage in done.stdout


def test_help_of_train_shows_hydra_overrides() -> None:
    done = viewfinder("train", "--help")
    assert done.returncode == 0, done.stderr
    assert "+experiment=" in done.stdout


def test_version() -> None:
    assert viewfinder("--version").stdout == f"viewfinder {__version__}\n"


def test_a_copy_of_the_checkout_runs_its_own_code(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "src", tmp_path / "src")
    (tmp_path / "src" / "viewfinder" / "__init__.py").write_text('__version__ = "of the copy"\n')
    (tmp_path / "params.yaml").touch()
    (tmp_path / "conf").mkdir()
    assert viewfinder("--version", cwd=tmp_path).stdout == "viewfinder of the copy\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("clone") / "viewfinder")


@pytest.mark.parametrize(
    ("stage", "name", "output", "needed"),
    [
        ("configure", "classification", "configs/classification.yaml", []),
        ("download", "digits", "data/raw/digits", []),
        # The first of these imports the second.
        ("split", "digits", "data/splits/digits", ["albumentations", "torch"]),
    ],
)
def test_light_stages_import_nothing_heavy_that_they_do_not_need(
    project: Path, stage: str, name: str, output: str, needed: list[str]
) -> None:
    script = (
        "import sys\n"
        "from viewfinder.cli import main\n"
        f"assert main(['{stage}', '{name}']) == 0\n"
        "heavy = {'albumentations', 'mlflow', 'pytorch_lightning', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = python("-c", script, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(needed)
    assert (project / output).exists()


@pytest.mark.parametrize("stage", ["download", "split"])
def test_an_unknown_data_set_is_one_line_that_names_the_known_ones(stage: str) -> None:
    done = viewfinder(stage, "digit_scene")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "'digit_scene'" in line
    for path in (REPOSITORY / "conf" / "dataset").glob("*.yaml"):
        assert path.stem in line
    assert "Did you mean 'digit_scenes'?" in line


def test_debug_mode_shows_the_traceback() -> None:
    done = viewfinder("download", "no_such_data", VIEWFINDER_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "viewfinder.errors.ViewfinderError" in done.stderr


def test_an_unknown_experiment_names_the_known_ones() -> None:
    done = viewfinder("configure", "segmentaton")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "classification, localization, detection, segmentation" in line
    assert "Did you mean 'segmentation'?" in line


def test_outside_a_checkout_the_error_says_so(tmp_path: Path) -> None:
    done = viewfinder("configure", "segmentation", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "params.yaml" in line
    assert str(tmp_path) in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("trian",), ("split",)])
def test_wrong_usage_exits_with_2(words: tuple[str, ...]) -> None:
    done = viewfinder(*words)
    assert done.returncode == 2
    assert "usage: viewfinder" in done.stderr
