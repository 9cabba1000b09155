"""A progress bar that an error takes down with it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")


@contextmanager
def progress(items: Collection[Item], description: str) -> Iterator[Iterator[Item]]:
    """Show a bar in the terminal while some items are gone through, and remove it after.

    rich's own ``track`` stays open when the loop over it ends in an error; its thread then can
    wait for itself when the garbage collector closes it.

    Args:
        items: What to go through.
        description: What to write before the bar.

    Yields:
        The items.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=len(items))

        def each() -> Iterator[Item]:
            for item in items:
                yield item
                bar.advance(task)

        yield each()
