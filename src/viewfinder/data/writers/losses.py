"""What a format can't hold, in words."""


def describe_losses(*, crowds: int, masks: int) -> list[str]:
    """Return a sentence for each kind of annotation that was left out."""
    counts = {"crowd annotations": crowds, "instance masks, of which the boxes are kept": masks}
    return [f"{count} {what}" for what, count in counts.items() if count]
