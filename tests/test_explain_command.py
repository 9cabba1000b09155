"""`viewfinder explain`: what it writes, and what it refuses."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image
from sklearn.datasets import load_sample_image

from viewfinder.assembly import build_task
from viewfinder.cli import main
from viewfinder.config import compose_config
from viewfinder.data.sources.digits import CLASSES
from viewfinder.training.model_folder import write_model

ROOT = Path(__file__).parents[1]
COUNTS = {"train": 4, "val": 2, "test": 6}
WRITTEN = {
    "activations",
    "filters.png",
    "heatmaps.png",
    "kernels_first_layer.png",
    "layers.csv",
    "lecture_kernels.png",
    "silent_channels.csv",
    "silent_channels.png",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with small data and a model that never learned anything."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    dataset = folder / "conf" / "dataset" / "single_digits.yaml"
    config = yaml.safe_load(dataset.read_text())
    config["source"]["counts"] = COUNTS
    dataset.write_text(yaml.safe_dump(config))
    torch.manual_seed(1)
    config = compose_config(
        ["+experiment=localization", "model.backbone=test_efficientnet"], folder
    )
    OmegaConf.resolve(config)
    model = folder / "models" / "localization"
    model.mkdir(parents=True)
    description = {
        "classes": list(CLASSES),
        "run_id": None,
        "config": OmegaConf.to_container(config),
    }
    write_model(model, build_task(config, list(CLASSES)).state_dict(), description)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["download", "single_digits"]) == 0
        assert main(["split", "single_digits"]) == 0
    return folder


@pytest.fixture(autouse=True)
def in_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


def output(checkout: Path) -> Path:
    return checkout / "reports" / "localization" / "explain"


def test_everything_is_written_for_images_of_the_test_split(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "localization", "--count", "2", "--batch", "7"]) == 0
    assert {path.name for path in output(checkout).iterdir()} == WRITTEN
    assert len(list((output(checkout) / "activations").glob("*.png"))) > 15
    rows = list(csv.DictReader((output(checkout) / "layers.csv").open()))
    assert "mib_for_batch_of_7" in rows[0]
    printed = capsys.readouterr().out
    assert "Layers of localization" in printed
    assert "reports/localization/explain" in printed
    for path in output(checkout).glob("*.png"):
        assert Image.open(path).convert("L").getextrema()[0] < 100  # not empty


def test_only_one_part_for_a_picture_and_a_layer(checkout: Path, tmp_path: Path) -> None:
    path = tmp_path / "flower.png"
    Image.fromarray(load_sample_image("flower.jpg")[::4, ::4]).save(path)
    words = ["explain", "localization", str(path), "--only", "heatmaps"]
    assert main([*words, "--layer", "backbone.blocks.2"]) == 0
    assert [item.name for item in output(checkout).iterdir()] == ["heatmaps.png"]


def test_heatmaps_by_the_methods_that_were_asked_for(checkout: Path) -> None:
    words = ["explain", "localization", "--only", "heatmaps", "--count", "1"]
    cams = [word for cam in ("grad-cam", "hirescam", "score-cam") for word in ("--cam", cam)]
    assert main(words) == 0
    usual = Image.open(output(checkout) / "heatmaps.png").width
    assert main([*words, *cams]) == 0
    assert Image.open(output(checkout) / "heatmaps.png").width > usual + 100


def test_filters_of_one_layer(checkout: Path) -> None:
    words = ["explain", "localization", "--only", "filters", "--count", "1"]
    assert main([*words, "--filters", "backbone.conv_stem"]) == 0
    one = Image.open(output(checkout) / "filters.png").height
    assert main([*words, "--filters", "2"]) == 0
    assert Image.open(output(checkout) / "filters.png").height > one + 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["localisation"], "no trained model of 'localisation'.*Did you mean 'localization'"),
        (["localization", "nowhere.jpg"], "no picture nowhere.jpg"),
        (["localization", "params.yaml"], "params.yaml .* can't be read as an image"),
        (["localization", "--layer", "backbone.blocks.22"], "Did you mean 'backbone.blocks.2'"),
        (["localization", "--count", "0"], "--count is 0"),
        (["localization", "--filters", "0"], "--filters is 0; expected one number from 1 on"),
        (["localization", "--only", "filters", "--filters", "backbone.conv_sten"], "Did you mean"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_lost(
    checkout: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    output(checkout).mkdir(parents=True, exist_ok=True)
    (output(checkout) / "older").touch()
    assert main(["explain", *words]) == 1
    assert (output(checkout) / "older").is_file()
    assert [path.name for path in output(checkout).parent.iterdir()] == ["explain"]
    error = capsys.readouterr().err
    assert re.search(message, error), error
