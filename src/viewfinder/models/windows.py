"""How far a window reaches: output sizes and padding of convolutions and poolings.

The rules are Keras's: ``valid`` never leaves the image, ``same`` pads so that a stride of 1 keeps
the size, with the odd pixel of padding behind.
"""

from typing import Literal, NamedTuple

Padding = Literal["valid", "same"]
PADDINGS: tuple[Padding, ...] = ("valid", "same")


class Window(NamedTuple):
    """One axis of a window that slides over an image.

    Attributes:
        output: Number of its places, 0 if it is larger than the image.
        before: Padding before the image, pixels.
        after: Padding behind the image, pixels.
    """

    output: int
    before: int
    after: int


def slide(size: int, kernel: int, stride: int, padding: Padding) -> Window:
    """Slide a window over one axis of an image.

    Args:
        size: Pixels of the image.
        kernel: Pixels of the window.
        stride: Pixels from one place to the next.
        padding: ``valid`` or ``same``.
    """
    if padding == "valid":
        return Window(max((size - kernel) // stride + 1, 0), 0, 0)
    output = -(-size // stride)
    total = max((output - 1) * stride + kernel - size, 0)
    return Window(output, total // 2, total - total // 2)
