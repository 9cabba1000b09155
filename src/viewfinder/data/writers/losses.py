"""What a format of boxes can't hold."""

from collections.abc import Sequence

from viewfinder.data.readers.record import Object


class Losses:
    """Counts the annotations that a format has no place for: crowds, and masks behind boxes."""

    def __init__(self) -> None:
        self._crowds = 0
        self._masks = 0

    def keep(self, objects: Sequence[Object]) -> list[Object]:
        """Return the objects that the format holds, at least their boxes."""
        kept = [item for item in objects if not item.crowd]
        self._crowds += len(objects) - len(kept)
        self._masks += sum(item.rle is not None for item in kept)
        return kept

    def described(self) -> list[str]:
        """Return a few words for each kind of annotation that was lost."""
        counts = {
            "crowd annotations": self._crowds,
            "instance masks, of which the boxes are kept": self._masks,
        }
        return [f"{count} {what}" for what, count in counts.items() if count]
