"""What may be chosen about a look inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["heatmaps", "activations", "filters", "layers", "kernels"]
Cam = Literal["grad-cam", "hirescam", "score-cam"]


@dataclass(frozen=True)
class Choices:
    """What may be chosen about a look inside.

    Attributes:
        layer: The layer of the heatmaps; None takes the last one with feature maps.
        cams: Their methods; without any, those that fit the task.
        filters: Of how many convolutions to show filters, or of which, by name.
        batch_size: Images in the batch whose memory is reckoned.
    """

    layer: str | None = None
    cams: Sequence[Cam] = ()
    filters: int | Sequence[str] = 4
    batch_size: int = 32
