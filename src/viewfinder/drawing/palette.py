"""Colours that people with any kind of colour vision can tell apart."""

import colorsys

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


_GOLDEN_RATIO = 0.618034


def class_colour(label: int) -> str:
    """Return the colour of a class as ``#rrggbb``; after twelve, neighbours differ in hue only."""
    if label < len(_CLASSES):
        return _CLASSES[label]
    hue = colorsys.hsv_to_rgb(label * _GOLDEN_RATIO % 1, 0.85, 0.95)
    return "#{:02X}{:02X}{:02X}".format(*(round(255 * part) for part in hue))


def class_rgb(label: int) -> tuple[int, int, int]:
    """Return the colour of a class as red, green and blue from 0 to 255."""
    red, green, blue = bytes.fromhex(class_colour(label)[1:])
    return red, green, blue


def ink_on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour ``#rrggbb``."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
