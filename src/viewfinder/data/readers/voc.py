"""Pascal VOC: one XML file of boxes an image."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, get_args
from xml.etree.ElementTree import Element

from viewfinder.data.archive import Archive
from viewfinder.data.readers.boxes import checked_box
from viewfinder.data.readers.members import by_stem, folder_split, image_names, stems_in
from viewfinder.data.readers.record import Object, Reading, Record
from viewfinder.data.readers.refusals import (
    Refused,
    check_class_names,
    check_splits,
    class_number,
    refuse_choice,
)
from viewfinder.data.readers.split_lists import Unlisted, read_split_lists, refuse_unlisted
from viewfinder.data.readers.xml import parse_xml
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError
from viewfinder.progress import progress

Corners = Literal["inclusive", "edges"]
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Annotated(NamedTuple):
    """An image, its XML file, and the split that its authors put it into."""

    image: str
    document: str
    split: Split | None


def read_voc(
    archive: Archive,
    *,
    sets: Mapping[Split, str] | None = None,
    images: str = "JPEGImages",
    annotations: str = "Annotations",
    classes: Sequence[str] | None = None,
    corners: Corners = "inclusive",
    unlisted: Unlisted = "refuse",
) -> Reading:
    """Read Pascal VOC annotations. Objects marked ``difficult`` are kept like the others.

    Args:
        archive: The data set's archive.
        sets: The file of each of the authors' splits that lists its images by name, without
            extension, as in ``ImageSets/Main``. None takes all images, and knows no split of them.
        images: The folder of the images.
        annotations: The folder of the XML files, each with the name of its image.
        classes: Class names in order; None takes those found, sorted.
        corners: What the corners of a box are. ``inclusive`` is the VOC standard: the first and
            last pixel, counted from 1, so left and top become one less. ``edges``: the box's
            edges, counted from 0, as LabelImg writes them.
        unlisted: Whether images and annotations that no list names are refused or left out.

    Raises:
        ViewfinderError: If a folder or a list is missing, or a list is not valid.
    """
    refused = Refused(archive)
    pictures = _by_name(refused, archive, image_names(archive), images)
    documents = _by_name(refused, archive, _documents(archive.names()), annotations)
    split_of: Mapping[str, Split | None] = dict.fromkeys(pictures)
    if sets is not None:
        split_of = read_split_lists(archive, sets)
    refused.without_image([name for name in split_of if name not in pictures], "a list of `sets`")
    missing = [image for name, image in pictures.items() if name in split_of.keys() - documents]
    refused.without_label(missing, f"to have an XML file in {annotations!r}", "Add it.")
    if unlisted == "refuse":
        known = pictures.keys() | split_of.keys()
        orphans = [path for name, path in documents.items() if name not in known]
        refused.without_image(orphans, f"the folder {annotations!r}")
    refuse_unlisted(refused, pictures, split_of, unlisted)
    annotated = [
        Annotated(image, documents[name], split_of[name])
        for name, image in pictures.items()
        if name in split_of and name in documents
    ]
    return read_annotated(archive, annotated, classes, corners, refused)


def read_voc_folders(
    archive: Archive,
    *,
    splits: Mapping[Split, str] | None = None,
    classes: Sequence[str] | None = None,
    corners: Corners = "inclusive",
) -> Reading:
    """Read images that each have a Pascal VOC file of the same name beside them.

    Args:
        archive: The data set's archive.
        splits: The folder of each of the authors' splits, if there are such.
        classes: Class names in order; None takes those found, sorted.
        corners: What the corners of a box are; see ``read_voc``.

    Raises:
        ViewfinderError: If there are no images, or an option is not valid.
    """
    if splits is not None:
        check_splits(splits, "splits")
    refused = Refused(archive)
    pictures = by_stem(image_names(archive), refused)
    documents = by_stem(_documents(archive.names()), refused)
    missing = [image for stem, image in pictures.items() if stem not in documents]
    refused.without_label(missing, "to have an XML file beside it", "Add it.")
    orphans = [path for stem, path in documents.items() if stem not in pictures]
    refused.without_image(orphans, "an XML file")
    found = {image: folder_split(image, splits or {}) for image in pictures.values()}
    if splits is not None:
        strays = [image for image, place in found.items() if place is None]
        where = f"in one of {', '.join(splits.values())}"
        refused.without_label(strays, where, "Move it, or add its folder to `splits`.")
    annotated = [
        Annotated(image, documents[stem], place[0] if (place := found[image]) else None)
        for stem, image in pictures.items()
        if stem in documents
    ]
    return read_annotated(archive, annotated, classes, corners, refused)


def _documents(names: Collection[str]) -> list[str]:
    return [name for name in names if PurePosixPath(name).suffix.lower() == ".xml"]


def _by_name(
    refused: Refused, archive: Archive, names: Collection[str], folder: str
) -> dict[str, str]:
    """Index the files of a folder by their name there, without extension."""
    stems = stems_in(names, folder, refused)
    if not stems:
        raise ViewfinderError(
            f"{archive.path} has no such files in {folder!r}. Expected Pascal VOC's folders: "
            "correct the reader's `images` and `annotations`."
        )
    return stems


def read_annotated(
    archive: Archive,
    annotated: Sequence[Annotated],
    classes: Sequence[str] | None,
    corners: Corners,
    refused: Refused,
) -> Reading:
    """Read the XML files of some images.

    Args:
        archive: The data set's archive.
        annotated: The images.
        classes: Class names in order; None takes those found, sorted.
        corners: What the corners of a box are; see ``read_voc``.
        refused: Where images are noted whose annotation is not valid.

    Raises:
        ViewfinderError: If a class name stands twice.
    """
    refuse_choice("corners", corners, get_args(Corners))
    roots: dict[Annotated, Element] = {}
    with progress(annotated, "annotations") as items:
        for item in items:
            with refused.catch(item.image):
                roots[item] = parse_xml(archive.read(item.document), repr(item.document))
    names = list(classes) if classes else sorted(_classes(roots.values()))
    check_class_names(archive, names)
    numbers = {name: number for number, name in enumerate(names)}
    records = []
    for item, root in roots.items():
        with refused.catch(item.image):
            records.append(_record(item, root, numbers, corners, repr(item.document)))
    return refused.reading(names, ["objects"], records)


def _classes(roots: Iterable[Element]) -> set[str]:
    named = (entry.findtext("name") for root in roots for entry in root.iter("object"))
    return {name.strip() for name in named if name and name.strip()}


def _record(
    item: Annotated, root: Element, numbers: Mapping[str, int], corners: Corners, where: str
) -> Record:
    objects = []
    for number, entry in enumerate(root.iter("object")):
        place = f"{where}: object {number}"
        sides = [_text(entry, f"bndbox/{side}", place) for side in _SIDES]
        category = class_number(_text(entry, "name", place), numbers, place)
        objects.append(Object(_box(sides, corners, place), category))
    size = tuple(_text(root, f"size/{side}", where) for side in ("width", "height"))
    if not all(side.isdecimal() for side in size):
        raise ViewfinderError(f"{where} has the size {size}; expected whole pixels. Correct it.")
    width, height = map(int, size)
    # Some tools write 0 x 0 for a size that they did not know.
    known = (width, height) if width and height else None
    return Record(item.image, size=known, objects=tuple(objects), split=item.split)


def _box(sides: Sequence[str], corners: Corners, where: str) -> tuple[float, float, float, float]:
    shift = 1 if corners == "inclusive" else 0
    try:
        # Binary fractions would put the left of a box without width behind its right.
        left, top = (float(Decimal(side) - shift) for side in sides[:2])
    except ArithmeticError:
        return checked_box(sides, where)
    return checked_box([left, top, *sides[2:]], where)


def _text(element: Element, path: str, where: str) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise ViewfinderError(f"{where} lacks <{path}>. Complete the annotation.")
    return text
