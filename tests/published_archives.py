"""Small archives in the layout of published ones: their names, folders and annotations.

A writer gets a folder and the names of the files that the data set's authors publish.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from split_project import encode, picture

from viewfinder.data.sources.zip_writer import write_zip

Writer = Callable[[Path, list[str]], None]
SIDE = 48  # pixels, of every picture but those of MNIST
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # numbers up to 90 that name no category


def photo(seed: int) -> bytes:
    return encode(picture(seed, SIDE), "JPEG")


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a tar archive, compressed if its name says so."""
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


def write_idx(folder: Path, files: list[str]) -> None:
    """Write 40 images of ten classes to train on and 10 to test on."""
    for name in files:
        count = 40 if name.startswith("train") else 10
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / name).write_bytes(idx(pixels if "idx3" in name else labels))


def write_cats_and_dogs(folder: Path, files: list[str]) -> None:
    """Write 16 photos of each, and an empty one as the real archive has it."""
    members = {
        f"PetImages/{name}/{index}.jpg": photo(100 * label + index)
        for label, name in enumerate(("Cat", "Dog"))
        for index in range(16)
    }
    write_zip(folder / files[0], {**members, "PetImages/Cat/666.jpg": b""}.items())


def write_flowers(folder: Path, files: list[str]) -> None:
    """Write eight photos of each of the five classes."""
    names = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    members = {
        f"flower_photos/{name}/{100 * label + index}_n.jpg": photo(100 * label + index)
        for label, name in enumerate(names)
        for index in range(8)
    }
    write_tar(folder / files[0], {"flower_photos/LICENSE.txt": b"CC-BY", **members})


def voc_xml(name: str, *objects: str) -> bytes:
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    head = f"<folder>images</folder><filename>{name}.jpg</filename>{size}<segmented>0</segmented>"
    return f"<annotation>{head}{''.join(objects)}</annotation>".encode()


def voc_object(name: str, box: tuple[int, int, int, int], inner: str = "") -> str:
    """Return an object of a VOC file; its corners are pixels counted from 1."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    corners = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    marks = "<pose>Frontal</pose><truncated>0</truncated><difficult>0</difficult>"
    return f"<object><name>{name}</name>{marks}<bndbox>{corners}</bndbox>{inner}</object>"


def write_pets(folder: Path, files: list[str]) -> None:
    """Write two breeds of 16 photos; only those to train on have a box around the head."""
    lines = {"trainval": ["#Image CLASS-ID SPECIES BREED ID"], "test": list[str]()}
    images: dict[str, bytes] = {"images/beagle_0.mat": b"MATLAB"}
    notes: dict[str, bytes] = {}
    for label, (breed, species) in enumerate((("Abyssinian", "cat"), ("beagle", "dog"))):
        for index in range(16):
            name = f"{breed}_{index}"
            part = "test" if index < 4 else "trainval"
            lines[part].append(f"{name} {label + 1} {label + 1} 1")
            images[f"images/{name}.jpg"] = photo(100 * label + index)
            notes[f"annotations/trimaps/{name}.png"] = trimap()
            notes[f"annotations/trimaps/._{name}.png"] = b"a Mac's note"
            if part == "trainval":
                box = voc_object(species, (9, 5, 30, 24))
                notes[f"annotations/xmls/{name}.xml"] = voc_xml(name, box)
    lists = {f"annotations/{name}.txt": "\n".join(rows).encode() for name, rows in lines.items()}
    write_tar(folder / files[0], images)
    write_tar(folder / files[1], {**lists, **notes})


def trimap() -> bytes:
    """Return a pet (1) on a background (2) with a border between them (3)."""
    values = np.full((SIDE, SIDE), 2, np.uint8)
    values[8:40, 8:40] = 3
    values[12:36, 12:36] = 1
    return encode(values)


def write_voc(folder: Path, files: list[str]) -> None:
    """Write twelve photos to train and validate on and four to test on, one archive each."""
    parts = {files[0]: {"train": range(8), "val": range(8, 12)}, files[1]: {"test": range(12, 16)}}
    for file, lists in parts.items():
        members: dict[str, bytes] = {}
        for name, numbers in lists.items():
            names = [f"{number:06d}" for number in numbers]
            members[f"ImageSets/Main/{name}.txt"] = "\n".join(names).encode()
            members[f"ImageSets/Main/dog_{name}.txt"] = "\n".join(f"{n} -1" for n in names).encode()
            for number, stem in zip(numbers, names, strict=True):
                members[f"JPEGImages/{stem}.jpg"] = photo(number)
                members[f"Annotations/{stem}.xml"] = voc_xml(stem, *voc_objects())
                members[f"SegmentationClass/{stem}.png"] = trimap()
        write_tar(folder / file, {f"VOCdevkit/VOC2007/{k}": v for k, v in members.items()})


def voc_objects() -> list[str]:
    head = "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin></bndbox></part>"
    return [voc_object("person", (4, 4, 24, 44), head), voc_object("dog", (20, 25, 48, 48))]


def write_coco(folder: Path, files: list[str]) -> None:
    """Write twelve photos to train on and four to test on, one of each without objects."""
    counts = {"train2017": 12, "val2017": 4}
    documents = {}
    for (split, count), file in zip(counts.items(), files, strict=False):
        names = [f"{1000 * count + index:012d}.jpg" for index in range(count)]
        members = {f"{split}/{name}": photo(1000 * count + i) for i, name in enumerate(names)}
        write_zip(folder / file, members.items())
        documents[f"annotations/instances_{split}.json"] = coco_json(names)
        documents[f"annotations/captions_{split}.json"] = b"{}"
    write_zip(folder / files[2], documents.items())


def coco_json(names: list[str]) -> bytes:
    """Return objects of the first and the last category, and a crowd, in all images but one."""
    images = [
        {"id": index, "file_name": name, "width": SIDE, "height": SIDE}
        for index, name in enumerate(names)
    ]
    numbers = [number for number in range(1, 91) if number not in _COCO_GAPS]
    categories = [{"id": number, "name": f"category {number}"} for number in numbers]
    polygon = [[4, 4, 28, 4, 28, 40, 4, 40]]
    runs = {"size": [SIDE, SIDE], "counts": [SIDE * 24, SIDE * 12, SIDE * 12]}
    kinds: tuple[tuple[int, list[int], Any, int], ...] = (
        (1, [4, 4, 24, 36], polygon, 0),
        (90, [24, 0, 12, SIDE], runs, 1),
    )
    annotations = [
        {
            "id": len(kinds) * image + place,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "segmentation": shape,
            "iscrowd": crowd,
        }
        for image in range(1, len(names))
        for place, (category, box, shape, crowd) in enumerate(kinds)
    ]
    document = {"images": images, "categories": categories, "annotations": annotations}
    return json.dumps(document).encode()
