"""Pascal VOC: ``JPEGImages/``, ``Annotations/`` and ``ImageSets/Main/<split>.txt``."""

from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.readers.record import Object
from viewfinder.data.schema import Split
from viewfinder.data.writers.losses import Losses
from viewfinder.data.writers.pictures import Picture, pictures, write_picture

_DECIMALS = 6  # else the shift may round one corner past the other


def write_voc(folder: Path, splits: Mapping[Split, SplitFile]) -> list[str]:
    """Write the boxes of splits as Pascal VOC, whose corners are pixels counted from 1.

    A corner between pixels is written with its fraction. Each file says ``corners`` inclusive, as
    our reader calls it: a box that reaches out of its image may start at 0. An image's name starts
    with its split, since all lie in one folder.

    Args:
        folder: An empty folder to write into.
        splits: The split files of a data set with boxes.

    Returns:
        What the format can't hold, in words: crowds, which are left out, and masks.

    Raises:
        ViewfinderError: If the data set has no boxes.
    """
    lists: dict[Split, list[str]] = {split: [] for split in splits}
    classes = next(iter(splits.values())).info.classes
    used: set[PurePosixPath] = set()
    losses = Losses()
    with closing(pictures(splits, "to VOC")) as rows:
        for picture in rows:
            place = _place(picture, used)
            lists[picture.split].append(str(place.with_suffix("")))
            write_picture(folder, picture, "JPEGImages" / place)
            kept = losses.keep(picture.objects)
            target = folder / "Annotations" / place.with_suffix(".xml")
            target.parent.mkdir(parents=True, exist_ok=True)
            tree = ElementTree.ElementTree(_document(picture, place.name, kept, classes))
            ElementTree.indent(tree)
            tree.write(target, encoding="utf-8", xml_declaration=True)
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for split, names in lists.items():
        (main / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
    return losses.described()


def _place(picture: Picture, used: set[PurePosixPath]) -> PurePosixPath:
    """Return where an image lies; its name ends in no blank, which is no part of a list's line."""
    place = PurePosixPath(picture.split) / picture.name
    stem = place.stem
    while place.stem != place.stem.rstrip() or place.with_suffix("") in used:
        stem = f"{stem.rstrip()}_"
        place = place.with_stem(stem)
    used.add(place.with_suffix(""))
    return place


def _document(
    picture: Picture, name: str, objects: list[Object], classes: list[str]
) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, folder="JPEGImages", filename=name)
    width, height = picture.size
    _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _add(root, segmented=0, corners="inclusive")
    for item in objects:
        entry = ElementTree.SubElement(root, "object")
        _add(entry, name=classes[item.category], difficult=0)
        left, top, right, bottom = map(_pixels, item.bbox, (1, 1, 0, 0))
        box = ElementTree.SubElement(entry, "bndbox")
        _add(box, xmin=left, ymin=top, xmax=right, ymax=bottom)
    return root


def _pixels(edge: float, shift: int) -> str:
    """Return an edge as a pixel counted from 1, whole where it can be."""
    value = Decimal(str(round(edge, _DECIMALS))) + shift
    return str(int(value)) if value == int(value) else str(value)


def _add(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)
