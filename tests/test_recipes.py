"""Recipes for published data run on small archives of the same layout: fetch, split, train."""

import csv
import hashlib
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf
from published_archives import (
    Writer,
    write_cats_and_dogs,
    write_coco,
    write_flowers,
    write_idx,
    write_pets,
    write_voc,
)

from viewfinder.config import check, compose_config
from viewfinder.stages import download, split
from viewfinder.stages.train import train

ROOT = Path(__file__).parents[1]
SMALL = [
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.accelerator=cpu",
    "loader.batch_size=4",
    "loader.num_workers=0",
]
FROM_SCRATCH = ["model.weights=null", "image.size=[64,64]"]


@dataclass(frozen=True)
class Small:
    """What makes a recipe small: an archive, changes of its data set, and overrides."""

    write: Writer
    dataset: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    epochs: int = 1


RECIPES: dict[str, Small] = {
    "mnist_cnn": Small(write_idx, {"split": {"val": 0.25}}),
    "fashion_mnist_cnn": Small(write_idx, {"split": {"val": 0.25}}),
    "cats_vs_dogs_cnn": Small(
        write_cats_and_dogs, {"split": {"train": "[:8]", "val": "[8:12]", "test": "[12:16]"}}
    ),
    "flowers_xception": Small(
        write_flowers,
        overrides=["model.weights=null", "image.size=[72,72]", "training.phases.0.epochs=1"],
        epochs=2,  # one a phase
    ),
    "pets_classification": Small(
        write_pets, {"num_classes": 2, "split": {"val": 0.2}}, FROM_SCRATCH
    ),
    "pets_localization": Small(write_pets, {"split": {"val": 0.2}}, FROM_SCRATCH),
    "pets_segmentation": Small(write_pets, {"split": {"val": 0.2}}, FROM_SCRATCH),
    "voc_detection": Small(write_voc, overrides=["model.weights=null", "image.size=[128,128]"]),
    "coco_detection": Small(
        write_coco, {"split": {"val": 0.25}}, ["model.backbone=resnet18", "image.size=[128,128]"]
    ),
}


def make_project(folder: Path, recipe: str) -> str:
    """Write a checkout and, beside it, a mirror with the recipe's archives; name the data set."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "params.yaml").write_text("datasets: {}\nexperiments: {}\n")
    dataset: str = compose_config([f"+experiment={recipe}"], folder).dataset.name
    path = folder / "conf" / "dataset" / f"{dataset}.yaml"
    settings = OmegaConf.merge(OmegaConf.load(path), RECIPES[recipe].dataset)
    files = settings.source.files
    mirror = folder / "mirror"
    mirror.mkdir()
    RECIPES[recipe].write(mirror, [Path(file.url).name for file in files])
    settings.source.files = [
        {"url": file.url, "sha256": sha256(mirror, file.url)} for file in files
    ]
    path.write_text(yaml.safe_dump(OmegaConf.to_container(settings)))
    return dataset


def sha256(mirror: Path, url: str) -> str:
    return hashlib.sha256((mirror / Path(url).name).read_bytes()).hexdigest()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_a_small_archive_of_its_layout(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_project(tmp_path, recipe)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIEWFINDER_MLFLOW", "0")
    monkeypatch.setenv("VIEWFINDER_MIRROR", str(tmp_path / "mirror"))
    download.main(dataset)
    split.main(dataset)

    small = RECIPES[recipe]
    length = f"trainer.max_epochs={small.epochs}"
    overrides = [f"+experiment={recipe}", length, *SMALL, *small.overrides]
    config = compose_config(overrides, tmp_path)
    check(config, tmp_path)
    score = train(config, title=recipe, model=tmp_path / "model", report=tmp_path / "report")

    assert 0 <= score <= 1
    assert json.loads((tmp_path / "report" / "train.json").read_text())["epochs"] == small.epochs
    with (tmp_path / "report" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"train/loss", "val/loss"} <= rows[-1].keys()
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert (tmp_path / "model" / "weights.pt").is_file()
