"""Data sets that keep the file names of their authors: MNIST, CIFAR, Oxford-IIIT Pet."""

import posixpath
import re
from collections import defaultdict
from typing import Any

from viewfinder.data.archive import Archive
from viewfinder.data.recognition.names import READERS, Format
from viewfinder.data.schema import Split

_IDX = re.compile(r"(?P<split>train|t10k|test)[-_](?P<kind>images|labels)[-.]idx[13]-ubyte")
_IDX_HEADER = 8  # bytes before an idx file's labels


def recognise_published(archive: Archive, names: list[str]) -> Format | None:
    """Return how the files of one of these data sets are read."""
    return _cifar(names) or _idx(archive, names) or _pets(names)


def _cifar(names: list[str]) -> Format | None:
    present = set(names)
    for name in names:
        folder, base = posixpath.split(name)
        if base == "batches.meta":
            train, test = [f"data_batch_{number}" for number in range(1, 6)], "test_batch"
            keys = {}
        elif base == "meta":
            train, test = ["train"], "test"
            keys = {"labels": "fine_labels", "names": "fine_label_names"}
        else:
            continue
        batches: dict[Split, list[str]] = {
            "train": [posixpath.join(folder, batch) for batch in train],
            "test": [posixpath.join(folder, test)],
        }
        if present.issuperset(batches["train"] + batches["test"]):
            options: dict[str, Any] = {"batches": batches, "meta": name, **keys}
            return Format("CIFAR's Python batches", f"{READERS}cifar.read_cifar", options)
    return None


def _idx(archive: Archive, names: list[str]) -> Format | None:
    found: defaultdict[str, dict[Split, str]] = defaultdict(dict)
    for name in names:
        match = _IDX.fullmatch(posixpath.basename(name))
        if match:
            split: Split = "train" if match["split"] == "train" else "test"
            found[match["kind"]][split] = name
    images, labels = found["images"], found["labels"]
    if not images or images.keys() != labels.keys():
        return None
    largest = max(max(archive.read(name)[_IDX_HEADER:], default=0) for name in labels.values())
    classes = [str(number) for number in range(largest + 1)]
    options = {"images": images, "labels": labels, "classes": classes}
    note = "the files do not name the classes: they are numbered"
    return Format("MNIST's idx files", f"{READERS}idx.read_idx", options, note)


def _pets(names: list[str]) -> Format | None:
    if not {f"annotations/{name}.txt" for name in ("list", "trainval", "test")} <= set(names):
        return None
    note = "its breeds; `target` may also be species, heads or trimaps"
    return Format("Oxford-IIIT Pet", f"{READERS}pets.read_pets", {"target": "breeds"}, note)
