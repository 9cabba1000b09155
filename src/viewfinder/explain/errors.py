"""Why there may be nothing to draw."""

from viewfinder.errors import ViewfinderError


class NothingToDrawError(ViewfinderError):
    """A network without the feature maps or convolutions that a picture is made of."""
