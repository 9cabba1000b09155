"""Recipes for published data run on small archives of the same layout: split, then train."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from split_project import encode, picture

from viewfinder.config import check, compose_config
from viewfinder.data.archive import write_checksums
from viewfinder.data.sources.zip_writer import write_zip
from viewfinder.stages import split
from viewfinder.stages.train import train

ROOT = Path(__file__).parents[1]
SMALL = [
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.accelerator=cpu",
    "loader.batch_size=4",
]


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


def write_idx(raw: Path, files: list[str]) -> None:
    """Write files named as the authors' own, 40 images to train on and 10 to test on."""
    for name in files:
        count = 40 if name.startswith("train") else 10
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / name).write_bytes(idx(pixels if "idx3" in name else labels))


def write_cats_and_dogs(raw: Path, files: list[str]) -> None:
    members = {
        f"PetImages/{name}/{index}.jpg": encode(picture(100 * label + index), "JPEG")
        for label, name in enumerate(("Cat", "Dog"))
        for index in range(16)
    }
    write_zip(raw / files[0], {**members, "PetImages/Cat/666.jpg": b""}.items())


def write_pets(raw: Path, files: list[str]) -> None:
    breeds = ("Abyssinian", "beagle")
    lines = {"trainval": list[str](), "test": list[str]()}
    images: dict[str, bytes] = {}
    for label, breed in enumerate(breeds):
        for index in range(16):
            name = f"{breed}_{index}"
            lines["test" if index < 4 else "trainval"].append(f"{name} {label + 1} {label + 1} 1")
            images[f"images/{name}.jpg"] = encode(picture(100 * label + index), "JPEG")
    lists = {f"annotations/{name}.txt": "\n".join(rows).encode() for name, rows in lines.items()}
    for file, members in zip(files, (images, lists), strict=True):
        with tarfile.open(raw / file, "w:gz") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


Writer = Callable[[Path, list[str]], None]
RECIPES: dict[str, tuple[Writer, dict[str, Any]]] = {
    "mnist_cnn": (write_idx, {"val": 0.25}),
    "fashion_mnist_cnn": (write_idx, {"val": 0.25}),
    "cats_vs_dogs_cnn": (
        write_cats_and_dogs,
        {"train": "[:8]", "val": "[8:12]", "test": "[12:16]"},
    ),
    "pets_classification": (write_pets, {"val": 0.2}),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_a_small_archive_of_its_layout(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, slices = RECIPES[recipe]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIEWFINDER_MLFLOW", "0")
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "params.yaml").write_text("datasets: {}\nexperiments: {}\n")
    dataset = compose_config([f"+experiment={recipe}"], tmp_path).dataset.name
    path = tmp_path / "conf" / "dataset" / f"{dataset}.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["split"] |= slices
    if dataset == "pets":
        settings["num_classes"] = 2
    path.write_text(yaml.safe_dump(settings))

    raw = tmp_path / "data" / "raw" / dataset
    raw.mkdir(parents=True)
    write(raw, [Path(file["url"]).name for file in settings["source"]["files"]])
    write_checksums(raw)
    split.main(dataset)

    config = compose_config([f"+experiment={recipe}", *SMALL], tmp_path)
    check(config, tmp_path)
    score = train(config, title=recipe, model=tmp_path / "model", report=tmp_path / "report")
    assert 0 <= score <= 1
    figures = json.loads((tmp_path / "report" / "train.json").read_text())
    assert figures["epochs"] == 1
    assert (tmp_path / "model" / "weights.pt").is_file()
