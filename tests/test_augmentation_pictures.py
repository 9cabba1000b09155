"""Training samples under augmentations, drawn so that a user sees what is trained on."""

from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image
from split_project import NAME, STRATIFIED, make_project, pets

from viewfinder.cli import main

MIRROR = "flip: {_target_: albumentations.HorizontalFlip, p: 1.0}\n"
TOP, LEFT, SIDE, STEP = 66, 24, 192, 198  # of the first tile, pixels


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures with boxes, split, and two augmentations."""
    make_project(tmp_path, pets(8), STRATIFIED, _target_="readers_for_tests.read_boxes")
    options = tmp_path / "conf" / "augment"
    options.mkdir()
    affine = REPOSITORY / "conf" / "augment" / "affine.yaml"
    (options / "affine.yaml").write_text(affine.read_text())
    (options / "mirror.yaml").write_text(MIRROR)
    monkeypatch.chdir(tmp_path)
    assert main(["split", NAME]) == 0
    return tmp_path


def test_samples_and_their_boxes_are_shown_as_they_are_and_augmented(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", NAME, "--augment", "mirror", "affine"]) == 0
    path = Path("outputs", "augmentations", f"{NAME}-mirror-affine.png")
    assert str(path) in capsys.readouterr().out
    sheet = np.asarray(Image.open(project / path).convert("RGB")).astype(int)
    plain, mirrored, _, turned = (
        sheet[TOP : TOP + SIDE, LEFT + column * STEP : LEFT + column * STEP + SIDE]
        for column in range(4)
    )
    assert np.abs(plain[:, ::-1] - mirrored).mean() < 6  # a box's line may lie a pixel off
    assert np.abs(plain - mirrored).mean() > 20
    assert min(np.abs(turned - other).mean() for other in (plain, mirrored)) > 6


def test_every_option_of_the_repository_can_be_shown(project: Path) -> None:
    options = sorted(path.stem for path in (REPOSITORY / "conf" / "augment").glob("*.yaml"))
    for option in options:
        content = (REPOSITORY / "conf" / "augment" / f"{option}.yaml").read_text()
        (project / "conf" / "augment" / f"{option}.yaml").write_text(content)
    assert main(["data", NAME, "--augment", *options]) == 0
    sheet = Image.open(project / "outputs" / "augmentations" / f"{NAME}-{'-'.join(options)}.png")
    assert sheet.width > 2 * len(options) * STEP


def test_what_moves_pixels_alone_is_shown_without_boxes(project: Path) -> None:
    options = project / "conf" / "augment"
    batches = "viewfinder.data.loading.batch_augmentation.Flip"
    (options / "batch.yaml").write_text(f"flip: {{_target_: {batches}, p: 1.0}}\n")
    assert main(["data", NAME, "--augment", "mirror", "batch"]) == 0
    path = project / "outputs" / "augmentations" / f"{NAME}-mirror-batch.png"
    sheet = np.asarray(Image.open(path).convert("RGB")).astype(int)
    mirrored, in_batches = (
        sheet[TOP : TOP + SIDE, LEFT + column * STEP : LEFT + column * STEP + SIDE]
        for column in (1, 3)
    )
    differing = np.abs(mirrored - in_batches).max(axis=2) > 30
    assert 0 < differing.mean() < 0.2  # the lines of the boxes, and nothing else


def test_an_augmentation_that_can_not_be_composed_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "conf" / "augment" / "broken.yaml").write_text("defaults:\n  - swirl\n")
    assert main(["data", NAME, "--augment", "broken"]) == 1
    error = capsys.readouterr().err
    assert "broken.yaml" in error
    assert "swirl" in error


def test_an_augmentation_that_is_not_there_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", NAME, "--augment", "blur"]) == 1
    error = capsys.readouterr().err
    assert "'blur'" in error
    assert "affine, mirror" in error
    assert not (project / "outputs").exists()
