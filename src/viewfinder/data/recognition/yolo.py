"""YOLO: the file that names the classes and the folders."""

import re
from codecs import BOM_UTF8
from itertools import islice
from pathlib import PurePosixPath

import yaml

from viewfinder.data.archive import Archive
from viewfinder.data.readers.members import is_image
from viewfinder.data.recognition.names import READERS, Format, unsettled
from viewfinder.data.schema import SPLITS

_KIND = "YOLO's text files"
_FILES_TRIED = 50
_OBJECT = re.compile(rb"\s*\d+(\s+-?[\d.]+(e-?\d+)?){4,}\s*", re.IGNORECASE)


def recognise_yolo(archive: Archive, names: list[str]) -> Format | None:
    """Return how YOLO's files are read, if there are such.

    Raises:
        ViewfinderError: If no file names the classes and folders, or several do.
    """
    example = _example(archive, names)
    if example is None:
        return None
    described = [name for name in names if _describes(archive, name)]
    if not described:
        problem = f"beside such as {example!r} no data.yaml with the classes' `names` and `train`"
        raise unsettled(archive, _KIND, problem)
    if len(described) > 1:
        raise unsettled(archive, _KIND, f"several files describe them: {', '.join(described)}")
    return Format("YOLO", f"{READERS}yolo.read_yolo", {"data": described[0]})


def _example(archive: Archive, names: list[str]) -> str | None:
    """Return a text file that has the name of an image and lists objects."""
    stems = {PurePosixPath(name).stem for name in names if is_image(name)}
    texts = (
        name
        for name in names
        if name.lower().endswith(".txt") and PurePosixPath(name).stem in stems
    )
    contents = ((name, archive.read(name).removeprefix(BOM_UTF8).strip()) for name in texts)
    filled = ((name, content) for name, content in contents if content)  # others are background
    tried = islice(filled, _FILES_TRIED)
    return next((name for name, text in tried if _OBJECT.fullmatch(text.splitlines()[0])), None)


def _describes(archive: Archive, name: str) -> bool:
    if not name.lower().endswith((".yaml", ".yml")):
        return False
    try:
        document = yaml.safe_load(archive.read(name))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    return isinstance(document, dict) and "names" in document and bool(document.keys() & {*SPLITS})
