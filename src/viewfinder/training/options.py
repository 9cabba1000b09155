"""What a training does besides Lightning's own options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viewfinder.errors import ViewfinderError
from viewfinder.training.phases import Phase


@dataclass(frozen=True)
class TrainingOptions:
    """The options of ``conf/training``; by default all are off.

    Attributes:
        phases: What learns how, one after the other; empty for one phase in which everything does.
        rates: Share of the learning rate by part of the network.
        layer_decay: Share of the rate from one layer to the one before it.
        ema_decay: Decay of the moving average of the weights that is validated and kept.
        early_stopping: Validations without a better metric after which the training stops.
        mixup: Alpha of MixUp's Beta distribution.
        cutmix: Alpha of CutMix's Beta distribution.
        compile: Whether to compile the network.
        find_lr: Whether to choose the learning rate by a range test.
        find_batch_size: Whether to choose the largest batch that memory allows.

    Raises:
        ViewfinderError: If a value is out of its range.
    """

    phases: Sequence[Phase] | None = None
    rates: Mapping[str, float] | None = None
    layer_decay: float | None = None
    ema_decay: float | None = None
    early_stopping: int | None = None
    mixup: float | None = None
    cutmix: float | None = None
    compile: bool = False
    find_lr: bool = False
    find_batch_size: bool = False

    def __post_init__(self) -> None:
        for name, inside, expected in (
            ("layer_decay", _share, "a number above 0, at most 1"),
            ("ema_decay", _below_one, "a number above 0, below 1"),
            ("early_stopping", _whole, "a whole number of validations, 1 or more"),
            ("mixup", _positive, "a number above 0"),
            ("cutmix", _positive, "a number above 0"),
        ):
            value = getattr(self, name)
            if value is not None and not inside(value):
                raise ViewfinderError(f"training.{name} is {value!r}; expected {expected}.")
        for part, rate in (self.rates or {}).items():
            if not _positive(rate):
                raise ViewfinderError(
                    f"training.rates.{part} is {rate!r}; expected a number above 0. To keep a part "
                    "from learning, freeze it (training.phases)."
                )
        for name in ("find_lr", "find_batch_size"):
            if getattr(self, name) and self.phases:
                raise ViewfinderError(
                    f"training.{name} can't be used with training.phases: it knows one optimizer. "
                    f"Set training.{name}=false."
                )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: float) -> bool:
    return _number(value) and value > 0


def _share(value: float) -> bool:
    return _number(value) and 0 < value <= 1


def _below_one(value: float) -> bool:
    return _number(value) and 0 < value < 1


def _whole(value: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
