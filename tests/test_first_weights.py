"""The file of weights that a training starts from: where it lies, and that it is the same one."""

import hashlib
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from viewfinder.assembly import build_task
from viewfinder.config import compose_config, load_composed, pin_weights
from viewfinder.errors import ViewfinderError
from viewfinder.models.timm_models import timm_classifier
from viewfinder.stages import configure

ROOT = Path(__file__).parents[1]
MODEL = ["model=timm_classifier", "model.name=test_resnet"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose one experiment starts from a file, seen from one of its folders."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "params.yaml").write_text(
        "experiments:\n"
        "  mine: {experiment: classification, dataset: digits, model: timm_classifier,\n"
        "         overrides: [model.name=test_resnet, model.weights=weights/start.pt]}\n"
        "  other: {experiment: classification, dataset: digits}\n"
    )
    (tmp_path / "weights").mkdir()
    torch.save(timm_classifier(3, name="test_resnet").state_dict(), tmp_path / "weights/start.pt")
    monkeypatch.chdir(tmp_path / "weights")
    return tmp_path


def starting_from(weights: str, *overrides: str) -> DictConfig:
    return compose_config([*MODEL, f"model.weights={weights}", *overrides], ROOT)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_configure_writes_the_checksum_of_the_first_weights(project: Path) -> None:
    configure.main("mine")
    before = load_composed("mine", project)
    assert before.weights_sha256 == sha256(project / "weights" / "start.pt")
    (project / "weights" / "start.pt").write_bytes(b"other weights")
    configure.main("mine")
    after = load_composed("mine", project)
    assert after.weights_sha256 == sha256(project / "weights" / "start.pt")
    assert after.weights_sha256 != before.weights_sha256
    configure.main("other")
    assert load_composed("other", project).weights_sha256 is None


def test_configure_names_the_file_that_is_missing(project: Path) -> None:
    file = project / "weights" / "start.pt"
    file.unlink()
    with pytest.raises(ViewfinderError, match=f"There is no file of weights {file}"):
        configure.main("mine")
    assert not (project / "configs" / "mine.yaml").exists()


def test_a_relative_path_counts_from_the_project(project: Path) -> None:
    expected = torch.load(project / "weights" / "start.pt")
    task = build_task(starting_from("weights/start.pt"), ["a", "b", "c"])
    assert torch.equal(task.model.state_dict()["fc.weight"], expected["fc.weight"])


def test_a_temporary_copy_finds_the_file_of_the_checkout(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project / ".dvc" / "tmp" / "exps" / "tmp1"
    copy.mkdir(parents=True)
    for name in ("conf", "params.yaml"):
        (copy / name).symlink_to(project / name)
    monkeypatch.chdir(copy)
    config = starting_from("weights/start.pt")
    pin_weights(config)
    assert config.weights_sha256 == sha256(project / "weights" / "start.pt")


@pytest.mark.parametrize("weights", ["hub", "package", "null"])
def test_what_is_no_file_has_no_checksum(weights: str) -> None:
    config = starting_from(weights)
    pin_weights(config)
    assert config.weights_sha256 is None


@pytest.mark.parametrize("weights", ["weights/start.pt", "hub"])
def test_other_weights_than_those_of_the_checksum_are_refused(project: Path, weights: str) -> None:
    config = starting_from(weights, "weights_sha256=abc")
    with pytest.raises(ViewfinderError, match=r"weights_sha256 is abc.*dvc repro"):
        pin_weights(config)


def test_a_training_by_hand_takes_a_file_from_anywhere(project: Path, tmp_path: Path) -> None:
    file = (project / "weights" / "start.pt").rename(tmp_path / "start.pt")
    config = starting_from(str(file))
    pin_weights(config)
    assert config.weights_sha256 == sha256(file)
