"""COCO JSON: ``annotations/<split>.json`` and the images in ``<split>/``."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from faster_coco_eval.core import mask as coco_mask

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.readers.record import Object
from viewfinder.data.schema import Split
from viewfinder.data.writers.pictures import Picture, pictures, write_picture


def write_coco(folder: Path, splits: Mapping[Split, SplitFile]) -> list[str]:
    """Write splits as COCO: boxes, masks as compressed run lengths, and crowds.

    Args:
        folder: An empty folder to write into.
        splits: The split files of a data set with boxes.

    Returns:
        What the format can't hold, in words: nothing.

    Raises:
        ViewfinderError: If the data set has no boxes.
    """
    documents = {split: _document(file.info.classes) for split, file in splits.items()}
    with closing(pictures(splits, "to COCO")) as rows:
        for picture in rows:
            document = documents[picture.split]
            number = len(document["images"]) + 1
            width, height = picture.size
            document["images"].append(
                {"id": number, "file_name": str(picture.name), "width": width, "height": height}
            )
            for item in picture.objects:
                identity = {"id": len(document["annotations"]) + 1, "image_id": number}
                document["annotations"].append(identity | _annotation(item, picture))
            write_picture(folder, picture, PurePosixPath(picture.split) / picture.name)
    (folder / "annotations").mkdir()
    for split, document in documents.items():
        text = json.dumps(document, ensure_ascii=False)
        (folder / "annotations" / f"{split}.json").write_text(text + "\n", encoding="utf-8")
    return []


def _document(classes: list[str]) -> dict[str, list[dict[str, Any]]]:
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"images": [], "annotations": [], "categories": categories}


def _annotation(item: Object, picture: Picture) -> dict[str, Any]:
    left, top, right, bottom = item.bbox
    annotation = {
        "category_id": item.category + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": int(item.crowd),
    }
    if item.rle is not None:
        rle = {"size": [picture.size[1], picture.size[0]], "counts": item.rle.decode("ascii")}
        annotation |= {"segmentation": rle, "area": float(coco_mask.area(rle))}
    return annotation
