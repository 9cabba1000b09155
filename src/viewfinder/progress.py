"""The bar of a long piece of work."""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")


@contextmanager
def progress(
    items: Iterable[Item], description: str, total: int | None = None
) -> Iterator[Iterator[Item]]:
    """Show a bar on stderr while items are gone through; silent where there is no terminal.

    An error in the loop takes the bar down. That of rich's own ``track`` would stay, and its
    thread can then wait for itself when the garbage collector closes it.

    Args:
        items: What to go through.
        description: What is being done.
        total: How many there are, if they can't tell themselves.

    Yields:
        The items.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def each() -> Iterator[Item]:
            for item in items:
                yield item
                bar.advance(task)

        yield each()
