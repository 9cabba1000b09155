"""A loss as a weighted sum of named terms."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from viewfinder.errors import ViewfinderError

Term = Callable[[Any, Any], Tensor]


class WeightedSum:
    """Some of the terms that a task offers, each with its weight.

    Args:
        weights: Weight of each term by name; 0 leaves it out.
        terms: All terms on offer, each a function of outputs and targets.
        task: Name of the task, for error messages.

    Raises:
        ViewfinderError: If a name is not on offer, a weight is negative, or no term is left.
    """

    def __init__(
        self, weights: Mapping[str, float], terms: Mapping[str, Term], *, task: str
    ) -> None:
        unknown = sorted(set(weights) - set(terms))
        if unknown:
            raise ViewfinderError(
                f"task.losses names {', '.join(unknown)}; {task} has {', '.join(terms)}."
            )
        negative = [f"{name}: {weight}" for name, weight in weights.items() if weight < 0]
        if negative:
            raise ViewfinderError(
                f"task.losses has {', '.join(negative)}; a weight is 0 (left out) or more."
            )
        self._weighted = {name: (weight, terms[name]) for name, weight in weights.items() if weight}
        if not self._weighted:
            raise ViewfinderError(
                f"task.losses leaves every term of {task} out. "
                f"Give one of {', '.join(terms)} a weight above 0."
            )

    def __call__(self, outputs: Any, targets: Any) -> dict[str, Tensor]:
        """Return the weighted terms by name."""
        return {
            name: weight * term(outputs, targets) for name, (weight, term) in self._weighted.items()
        }
