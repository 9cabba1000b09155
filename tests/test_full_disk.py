"""A training on a disk that is full says what could not be written, and leaves no part of it."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from patches import patches_project

from viewfinder import cli
from viewfinder.outputs import new_file, new_folder

LARGEST = 2**16


@contextmanager
def no_larger_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_training_on_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = patches_project(tmp_path, "label", width=64)
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("VIEWFINDER_MLFLOW", "0")
    for name in ("HYDRA_FULL_ERROR", "VIEWFINDER_DEBUG", "PL_GLOBAL_SEED"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    words = ["dataset=patches", "model=tiny", "image.size=[16,16]", "trainer.max_epochs=1"]
    with no_larger_files():
        assert cli.main(["train", *words]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    _, message = said.split("error: ")
    assert ".ckpt: File too large." in message
    assert f"Make room on the disk that holds {project / '.cache' / 'viewfinder'}" in message
    assert "half-written" not in message
    assert list((project / ".cache" / "viewfinder").iterdir()) == []


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_an_output_on_a_full_disk_is_named_and_not_begun(
    tmp_path: Path, new: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    output = tmp_path / "output"
    with pytest.raises(OSError, match="File too large") as caught, new(output) as draft:
        file = draft / "part" if draft.is_dir() else draft
        with no_larger_files():
            file.write_bytes(bytes(2 * LARGEST))
    assert caught.value.filename == str(output)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with new_file(path) as first:
        with new_file(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
