"""Colours that people with any kind of colour vision can tell apart."""

RIGHT = "#009E73"
WRONG = "#D55E00"
INK = "#222222"
FAINT = "#777777"

# M. Krzywinski, "Designing for color blindness", 12-color palette, reordered so that neighbours
# differ most.
_CLASSES = (
    "#008DF9",
    "#FFC33B",
    "#E20134",
    "#00FCCF",
    "#8400CD",
    "#FF6E3A",
    "#009F81",
    "#FF5AAF",
    "#00C2F9",
    "#9F0162",
    "#FFB2FD",
    "#A40122",
)


def class_colour(label: int) -> str:
    """Return the colour of a class; they repeat after twelve."""
    return _CLASSES[label % len(_CLASSES)]


def ink_on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour ``#rrggbb``."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
