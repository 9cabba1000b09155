"""A comparison in words, for the terminal and the page alike."""

from collections.abc import Sequence

from viewfinder.evaluation.comparison.class_changes import ClassChange
from viewfinder.evaluation.comparison.comparing import Comparison
from viewfinder.evaluation.comparison.cost import Amount
from viewfinder.evaluation.comparison.differences import (
    SIGNIFICANT,
    Difference,
    Discordance,
    Standing,
)
from viewfinder.evaluation.figures import Figure

COSTS = {
    "parameters": "parameters",
    "training_seconds": "training, s",
    "latency_ms": "one image in ONNX Runtime, ms",
}
SCORES = {
    "classification": "the probability of the true class",
    "multilabel": "the mean probability of the truth over the classes, less 1 for each wrong class",
    "localization": "the IoU of the box",
    "detection": "the mean IoU of the objects found, less 1 for each one missed or invented",
    "segmentation": "the share of right pixels, background on both sides left out",
    "instances": "the mean IoU of the objects found, less 1 for each one missed or invented",
}
_LEADING = ("ap", "mask_ap", "iou", "average_precision", "f1")
_LEAST_P = 0.001


def figure_text(figure: Figure) -> str:
    """Return a metric with its interval."""
    if figure.value is None:
        return f"not defined: {figure.reason}"
    if figure.low is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def difference_text(difference: Difference) -> str:
    """Return a difference with its interval."""
    if difference.value is None:
        return f"not defined: {difference.reason}"
    if difference.low is None:
        return f"{difference.value:+.4f} ({difference.reason})"
    return f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def discordance_text(discordance: Discordance) -> str:
    """Return how many images one of two models alone gets right."""
    return f"{discordance.won} became right, {discordance.lost} wrong"


def p_text(p: float | None) -> str:
    """Return a p-value, marked where it is below 0.05."""
    if p is None:
        return ""
    mark = " *" if p < SIGNIFICANT else ""
    return f"< {_LEAST_P}{mark}" if p < _LEAST_P else f"{p:.3f}{mark}"


def verdict(standing: Standing, name: str, baseline: str) -> str:
    """Return in a sentence what is significant about a model against the baseline."""
    words = []
    for kind, sign in (("better", 1), ("worse", -1)):
        found = [
            f"{metric} ({item.value:+.4f}, p {p_text(item.p).rstrip(' *')})"
            for metric, item in standing.differences.items()
            if item.significant and item.value is not None and item.value * sign > 0
        ]
        if found:
            words.append(f"{kind} in {', '.join(found)}")
    if words:
        return f"{name} is {' and '.join(words)} than {baseline}."
    return f"No metric of {name} differs significantly from that of {baseline}."


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence for each model but the baseline."""
    first = comparison.contenders[0].name
    pairs = zip(comparison.contenders[1:], comparison.standings[1:], strict=True)
    return [verdict(standing, contender.name, first) for contender, standing in pairs]


def tests_text(comparison: Comparison) -> str:
    """Return how many differences were tested, and how many are to be expected by chance."""
    count = comparison.tests
    return (
        f"{count} differences were tested. Of as many between equally good models about "
        f"{SIGNIFICANT * count:.1f} would have p < {SIGNIFICANT} (*) by chance."
    )


def cost_text(amount: Amount) -> str:
    """Return a cost, or why it is not known."""
    if amount.value is None:
        return f"not known: {amount.reason}"
    whole = float(amount.value).is_integer()
    return f"{amount.value:,.0f}" if whole or amount.value >= 1000 else f"{amount.value:,.3g}"


def leading_figure(classes: Sequence[ClassChange]) -> str:
    """Return the figure by which classes are judged first."""
    present = classes[0].before
    return next((name for name in _LEADING if name in present), next(iter(present)))


def most_changed(classes: Sequence[ClassChange], figure: str) -> list[ClassChange]:
    """Return the classes whose figure changed, the largest change first."""
    changed = [item for item in classes if item.change[figure]]
    return sorted(changed, key=lambda item: -abs(item.change[figure] or 0.0))
