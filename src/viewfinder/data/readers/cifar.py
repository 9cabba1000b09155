"""CIFAR's Python batches: pickles, opened without running what is in them."""

import codecs
import io
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.archive import Archive
from viewfinder.data.readers.png import encode_png
from viewfinder.data.readers.record import Reading, Record
from viewfinder.data.readers.refusals import check_class_names, check_splits
from viewfinder.data.schema import Split
from viewfinder.errors import ViewfinderError

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


def read_cifar(
    archive: Archive,
    *,
    batches: Mapping[Split, Sequence[str]],
    meta: str,
    labels: str = "labels",
    names: str = "label_names",
) -> Reading:
    """Read CIFAR-10 or, with ``fine_labels`` and ``fine_label_names``, CIFAR-100.

    The images become PNG files named after their batch and position.

    Args:
        archive: The data set's archive.
        batches: The pickled batches of each split.
        meta: The pickle with the class names.
        labels: The batches' key for the labels.
        names: The key in ``meta`` for the class names.

    Raises:
        ViewfinderError: If a pickle holds anything but arrays, lists and text, or is not a batch.
    """
    check_splits(batches, "batches")
    classes = [
        str(name) for name in _entry(_load(archive, meta), names, f"{archive.path}: {meta!r}")
    ]
    check_class_names(archive, classes)
    records: list[Record] = []
    for split, paths in batches.items():
        for path in paths:
            pixels, numbers = _batch(archive, path, labels, len(classes))
            records += [
                Record(
                    id=f"{path}/{position:05d}.png",
                    label=label,
                    split=split,
                    content=partial(_encode, pixels[position]),
                )
                for position, label in enumerate(numbers)
            ]
    return Reading(classes, ["label"], records)


def _batch(
    archive: Archive, path: str, key: str, classes: int
) -> tuple[NDArray[np.uint8], list[int]]:
    where = f"{archive.path}: {path!r}"
    document = _load(archive, path)
    pixels, labels = _entry(document, "data", where), _entry(document, key, where)
    pixels = getattr(pixels, "pixels", None) if isinstance(pixels, _Array) else None
    if pixels is None or pixels.ndim != 2:
        raise ViewfinderError(f"{where} holds no array of bytes under 'data'. Fetch it again.")
    if pixels.shape != (len(labels), _PIXELS):
        raise ViewfinderError(
            f"{where} has data of shape {pixels.shape} for {len(labels)} labels; expected "
            f"({len(labels)}, {_PIXELS}). Fetch it again."
        )
    wrong = [item for item in labels if not isinstance(item, int) or not 0 <= item < classes]
    if wrong:
        raise ViewfinderError(
            f"{where} has the label {wrong[0]!r}; expected a number from 0 to {classes - 1}. "
            "Correct the reader's `labels` and `names`."
        )
    return pixels, list(labels)


def _encode(planes: NDArray[np.uint8]) -> bytes:
    """Encode one row of a batch: the red plane, the green and the blue."""
    return encode_png(np.ascontiguousarray(planes.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)))


def _entry(document: Mapping[Any, Any], key: str, where: str) -> Any:
    if key not in document:
        raise ViewfinderError(
            f"{where} has no {key!r}; it has {', '.join(map(repr, document))}. "
            "Correct the reader's options."
        )
    return document[key]


def _load(archive: Archive, path: str) -> dict[Any, Any]:
    try:
        # The authors pickled with Python 2, whose text was Latin-1 to Python 3's pickle.
        document = _ArrayUnpickler(io.BytesIO(archive.read(path)), encoding="latin1").load()
    except ViewfinderError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ViewfinderError(
            f"{archive.path}: {path!r} is not a pickled batch that can be opened safely: {error}. "
            "Fetch it again from its authors."
        ) from error
    if not isinstance(document, dict):
        raise ViewfinderError(f"{archive.path}: {path!r} holds no dictionary. Fetch it again.")
    return document


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return codecs.encode(text, "latin1")


class _Array:
    """Stands for numpy's array in a pickle: numpy itself never sees what the pickle says."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        if kind is not _BYTES or not all(isinstance(side, int) for side in shape):
            raise pickle.UnpicklingError("it holds an array of something else than bytes")
        # Python 2's pickles hold the bytes as text.
        raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
        flat = np.frombuffer(raw, np.uint8)
        self.pixels = flat.reshape(shape, order="F" if fortran else "C")


class _Bytes:
    """Stands for numpy's type of bytes; its pickled state says nothing more."""

    def __setstate__(self, state: object) -> None:
        pass


_BYTES = _Bytes()
_NDARRAY = "numpy.ndarray"  # named in pickles, not to be called by them


def _empty_array(kind: object, shape: object, code: object) -> _Array:
    """Make what numpy's pickles begin with; its content comes after it."""
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("it begins an array that numpy would not have written")
    return _Array()


def _dtype(code: str, align: object = False, copy: object = True) -> _Bytes:
    if code not in ("u1", "|u1", "uint8"):
        raise pickle.UnpicklingError(f"it holds an array of {code!r}, not of bytes")
    return _BYTES


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Opens arrays of bytes in plain containers, and refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None
