"""All there is to say of several models on the same images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from viewfinder.evaluation.comparison.agreement import check_alike
from viewfinder.evaluation.comparison.changes import Changes, find_changes
from viewfinder.evaluation.comparison.class_changes import ClassChange, class_changes
from viewfinder.evaluation.comparison.cost import Amount
from viewfinder.evaluation.comparison.differences import Standing, standings
from viewfinder.evaluation.figures import as_values
from viewfinder.evaluation.intervals import RESAMPLES
from viewfinder.evaluation.measures.opening import open_measure
from viewfinder.evaluation.predictions.file import PredictionsFile


@dataclass(frozen=True)
class Contender:
    """A model in a comparison.

    Attributes:
        name: What to call it.
        predictions: Its predictions.
        cost: What it costs, by name.
    """

    name: str
    predictions: PredictionsFile
    cost: dict[str, Amount]


@dataclass(frozen=True)
class Against:
    """What changed from the baseline to a model.

    Attributes:
        changes: The images that changed most.
        classes: What changed for each class.
    """

    changes: Changes
    classes: list[ClassChange]


@dataclass(frozen=True)
class Comparison:
    """Several models on the same images.

    Attributes:
        contenders: The models; the first is the baseline.
        standings: How each does.
        against: What changed from the baseline to each of the others.
        groups: Number of groups of images that were drawn together.
        notes: What to keep in mind.
    """

    contenders: Sequence[Contender]
    standings: list[Standing]
    against: list[Against]
    groups: int
    notes: list[str]

    @property
    def tests(self) -> int:
        """How many differences have a p-value."""
        of_metrics = [item.p for one in self.standings for item in one.differences.values()]
        discordances = [one for one in self.standings if one.discordance is not None]
        return sum(p is not None for p in of_metrics) + len(discordances)


def compare(contenders: Sequence[Contender], resamples: int = RESAMPLES) -> Comparison:
    """Compare models with the first one.

    Args:
        contenders: The models, two or more.
        resamples: How many draws intervals and p-values come from.

    Raises:
        ViewfinderError: If their tasks, classes or test images differ.
    """
    first = contenders[0]
    for other in contenders[1:]:
        check_alike(first.name, first.predictions, other.name, other.predictions)
    measures = [open_measure(contender.predictions) for contender in contenders]
    groups = first.predictions.groups()
    against = [
        Against(
            find_changes(first.predictions, other.predictions, measures[0], measure),
            class_changes(measures[0].by_class(), measure.by_class()),
        )
        for other, measure in zip(contenders[1:], measures[1:], strict=True)
    ]
    count = len(np.unique(groups))
    return Comparison(
        contenders,
        standings(measures, groups, resamples),
        against,
        count,
        _notes(contenders, groups=count),
    )


def _notes(contenders: Sequence[Contender], *, groups: int) -> list[str]:
    images = len(contenders[0].predictions)
    notes = []
    if groups < images:
        notes.append(
            f"The {images} images form {groups} groups, which the resamples draw whole. McNemar's "
            "test takes every image for independent: trust it less."
        )
    sizes = [_input_size(contender.predictions) for contender in contenders]
    if len(set(sizes)) > 1:
        named = ", ".join(f"{one.name} {size}" for one, size in zip(contenders, sizes, strict=True))
        notes.append(f"The networks' inputs differ in size, in pixels: {named}.")
    return notes


def _input_size(predictions: PredictionsFile) -> str:
    return "x".join(str(predictions.column(side)[0]) for side in ("width", "height"))


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for JSON."""
    first = comparison.contenders[0].predictions
    parts = zip(comparison.contenders, comparison.standings, strict=True)
    models = [
        {
            "name": contender.name,
            "metrics": as_values(standing.figures),
            "cost": {name: asdict(amount) for name, amount in contender.cost.items()},
        }
        | _compared(standing, against)
        for (contender, standing), against in zip(parts, [None, *comparison.against], strict=True)
    ]
    return {
        "task": first.info.task,
        "dataset": first.info.dataset,
        "digest": first.info.digest,
        "images": len(first),
        "groups": comparison.groups,
        "comparisons": comparison.tests,
        "notes": comparison.notes,
        "baseline": comparison.contenders[0].name,
        "models": models,
    }


def _compared(standing: Standing, against: Against | None) -> dict[str, Any]:
    if against is None:
        return {}
    discordance = standing.discordance
    changes = against.changes
    names = ("right_to_wrong", "wrong_to_right") if changes.flips else ("worse", "better")
    return {
        "differences": {
            name: asdict(difference) | {"significant": difference.significant}
            for name, difference in standing.differences.items()
        },
        "mcnemar": None
        if discordance is None
        else asdict(discordance) | {"significant": discordance.significant},
        "images": {
            name: [{"id": item.id, "before": item.before, "after": item.after} for item in items]
            for name, items in zip(names, (changes.worse, changes.better), strict=True)
        },
        "classes": [asdict(item) for item in against.classes],
    }
