"""Whether models can be compared: the same task, classes and images."""

from collections.abc import Sequence

from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.predictions.file import PredictionsFile

_MOST_NAMED = 3


def check_alike(name: str, first: PredictionsFile, other_name: str, other: PredictionsFile) -> None:
    """See that two tables of predictions are of the same task, classes and images.

    Args:
        name: What to call the first.
        first: The baseline.
        other_name: What to call the other.
        other: What to compare with it.

    Raises:
        ViewfinderError: If they are not; it says what differs.
    """
    problem = _of_tasks(first, other) or _of_images(first, other) or _of_classes(first, other)
    if problem:
        raise ViewfinderError(f"{name!r} and {other_name!r} can't be compared: {problem}")


def _of_tasks(first: PredictionsFile, other: PredictionsFile) -> str:
    tasks = (first.info.task, other.info.task)
    if tasks[0] == tasks[1]:
        return ""
    return f"the first is of the task {tasks[0]}, the other of {tasks[1]}."


def _of_images(first: PredictionsFile, other: PredictionsFile) -> str:
    ids, other_ids = (file.table.column("id").to_pylist() for file in (first, other))
    if first.info.digest == other.info.digest and ids == other_ids:
        return ""
    parts = []
    if first.info.dataset != other.info.dataset:
        names = (first.info.dataset, other.info.dataset)
        parts.append(f"the data sets are {names[0]!r} and {names[1]!r}")
    if len(ids) != len(other_ids):
        parts.append(f"there are {len(ids)} images in the first and {len(other_ids)} in the other")
    parts += _only_in(ids, other_ids, "the first") + _only_in(other_ids, ids, "the other")
    if not parts:
        parts.append(
            "the images have the same names in both, but the split's content differs "
            f"(SHA-256 {first.info.digest[:12]}… and {other.info.digest[:12]}…)"
        )
    return (
        f"their test sets differ: {'; '.join(parts)}. Evaluate both models on the same test split, "
        "then compare again."
    )


def _only_in(ids: Sequence[str], others: Sequence[str], where: str) -> list[str]:
    known = set(others)
    extra = [name for name in ids if name not in known]
    if not extra:
        return []
    shown = ", ".join(extra[:_MOST_NAMED])
    more = f" and {len(extra) - _MOST_NAMED} more" if len(extra) > _MOST_NAMED else ""
    return [f"only {where} has {shown}{more}"]


def _of_classes(first: PredictionsFile, other: PredictionsFile) -> str:
    classes, others = first.info.classes, other.info.classes
    if classes == others:
        return ""
    parts = _only_in(classes, others, "the first") + _only_in(others, classes, "the other")
    found = "; ".join(parts) or f"the same ones in another order, {classes} and {others}"
    return f"their classes differ: {found}."
