"""A checkout with one data set of generated pictures, ready for the split stage."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from viewfinder.data.archive import write_checksums
from viewfinder.data.schema import SPLITS
from viewfinder.data.shards import read_shards
from viewfinder.data.sources.zip_writer import write_zip

NAME = "pets"
STRATIFIED = {
    "_target_": "viewfinder.data.splits.assign.stratified_split",
    "_partial_": True,
    "val": 0.2,
    "test": 0.2,
    "seed": 0,
}


def picture(seed: int, side: int = 48) -> NDArray[np.uint8]:
    """Return a smooth random picture, as unlike others as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def pets(count: int = 20) -> dict[str, bytes]:
    """Return pictures in one folder for each of two classes."""
    return {
        f"{name}/{index}.png": encode(picture(1000 * label + index))
        for label, name in enumerate(("cat", "dog"))
        for index in range(count)
    }


def make_project(
    folder: Path, members: Mapping[str, bytes], split: Mapping[str, Any], **reader: Any
) -> Path:
    """Write a checkout with a downloaded data set."""
    raw = folder / "data" / "raw" / NAME
    raw.mkdir(parents=True)
    write_zip(raw / "pets.zip", members.items())
    write_checksums(raw)
    config = {
        "name": NAME,
        "reader": {
            "_target_": "viewfinder.data.readers.folders.read_class_folders",
            "_partial_": True,
            **reader,
        },
        "split": dict(split),
    }
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / f"{NAME}.yaml").write_text(yaml.safe_dump(config))
    (folder / "params.yaml").write_text("datasets: [pets]\nexperiments: {}\n")
    return folder


def output(project: Path) -> Path:
    return project / "data" / "splits" / NAME


def report(project: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output(project) / "report.json").read_text("utf-8"))
    return document


def members(project: Path) -> dict[str, list[str]]:
    """Return the ids of each split file."""
    ids = {}
    for split in SPLITS:
        ids[split] = read_shards(output(project) / split).column("id").to_pylist()
    return ids


def sides(project: Path, *names: str) -> set[str]:
    """Return the splits that hold any of the named images."""
    return {split for split, ids in members(project).items() if set(ids) & set(names)}
