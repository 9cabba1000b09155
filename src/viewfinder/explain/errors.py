"""Why there may be nothing to draw."""

from viewfinder.errors import ViewfinderError


class NoFeatureMapsError(ViewfinderError):
    """A network without a layer that a heatmap could be made on."""
