"""The bar of a long piece of work."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def tracked(items: Iterable[Item], description: str, total: float | None = None) -> Iterable[Item]:
    """Go through items behind a bar on stderr; silent where there is no terminal.

    Args:
        items: What to go through.
        description: What is being done.
        total: How many there are, if they can't tell themselves.
    """
    console = Console(stderr=True)
    return track(
        items,
        description,
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
