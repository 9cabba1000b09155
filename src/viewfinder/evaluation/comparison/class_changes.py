"""What changed for each class."""

from dataclasses import dataclass

from viewfinder.evaluation.measures.per_class import ClassTable, Row

_GIVEN = frozenset({"threshold"})  # no result of the model that could be better or worse


@dataclass(frozen=True)
class ClassChange:
    """The figures of one class under two models.

    Attributes:
        name: The class.
        count: How often it is there.
        before: The baseline's figures; None where one is not defined.
        after: The other model's.
        change: The difference; None where one of them is not defined.
    """

    name: str
    count: int
    before: dict[str, float | None]
    after: dict[str, float | None]
    change: dict[str, float | None]


def class_changes(first: ClassTable, second: ClassTable) -> list[ClassChange]:
    """Return what changed for each class, in the order of the classes."""
    found = []
    for row, other in zip(first.rows, second.rows, strict=True):
        before, after = _figures(first, row), _figures(second, other)
        change = {name: _difference(before[name], after[name]) for name in before}
        found.append(ClassChange(str(row[0]), int(row[1] or 0), before, after, change))
    return found


def _figures(table: ClassTable, row: Row) -> dict[str, float | None]:
    named = zip(table.columns, row[2:], strict=True)
    return {
        name: None if value is None else float(value) for name, value in named if name not in _GIVEN
    }


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
