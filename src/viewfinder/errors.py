"""The one exception for a mistake that the user can mend."""


class ViewfinderError(Exception):
    """A problem with the user's input or surroundings.

    The message names the thing, what was found, what was expected and the way to mend it; the
    command line prints it without a traceback.
    """
