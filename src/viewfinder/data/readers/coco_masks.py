"""The masks of COCO's annotations: polygons, plain and compressed run lengths."""

from typing import Any

from faster_coco_eval.core import mask as coco_mask

from viewfinder.errors import ViewfinderError


def to_rle(segmentation: Any, size: tuple[int, int], where: str) -> bytes | None:
    """Bring polygons, plain and compressed run lengths to compressed run lengths.

    Args:
        segmentation: What the annotation says; nothing and empty polygons stand for no mask.
        size: Height and width of the image, pixels.
        where: The annotation, for messages.

    Raises:
        ViewfinderError: If it is none of these, or not for an image of this size.
    """
    if not segmentation or segmentation == [[]]:
        return None
    if isinstance(segmentation, list):
        _check_polygons(segmentation, where)
        merged = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
        return bytes(merged["counts"])
    given = segmentation if isinstance(segmentation, dict) else {}
    counts = given.get("counts")
    runs: Any = _runs(counts) if isinstance(counts, str) else counts
    valid = isinstance(runs, list) and all(type(run) is int and run >= 0 for run in runs)
    if not valid or given.get("size") != list(size) or sum(runs) != size[0] * size[1]:
        raise ViewfinderError(
            f"{where} has a segmentation that is no mask of {size[0]} x {size[1]} (height, width) "
            f"pixels: {str(segmentation)[:80]}. Expected polygons, or run lengths of that size "
            "that add up to it. Correct it."
        )
    return bytes(coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"])


def _check_polygons(polygons: list[Any], where: str) -> None:
    for polygon in polygons:
        numbers = isinstance(polygon, list) and all(map(is_number, polygon))
        if not numbers or len(polygon) < 6 or len(polygon) % 2:
            raise ViewfinderError(
                f"{where} has the polygon {str(polygon)[:80]}; expected x and y of three points "
                "or more. Correct it."
            )


def _runs(counts: str) -> list[int] | None:
    """Read compressed run lengths, after ``rleFrString`` of COCO's ``maskApi.c``."""
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return None if shift else runs


def is_number(value: object) -> bool:
    """Tell whether a value of a JSON document is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
