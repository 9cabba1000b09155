"""Pages that need nothing but themselves: one style, no address outside."""

from viewfinder.pages.picture import embedded
from viewfinder.pages.render import render

__all__ = ["embedded", "render"]
