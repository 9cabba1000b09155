"""The one exception for a mistake that the user can mend, and what its messages share."""

import difflib
from collections.abc import Sequence


class ViewfinderError(Exception):
    """A problem with the user's input or surroundings.

    The message names the thing, what was found, what was expected and the way to mend it; the
    command line prints it without a traceback.
    """


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a sentence that names the closest of the known names, or nothing if none is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
