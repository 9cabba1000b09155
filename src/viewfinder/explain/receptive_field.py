"""How much of the image each value of a network can see, followed through its operations.

Source of the arithmetic: A. Araujo, W. Norris, J. Sim, Computing Receptive Fields of Convolutional
Neural Networks, Distill 2019.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Pair = tuple[float, float]


@dataclass(frozen=True)
class Field:
    """What the values of a tensor see.

    Attributes:
        size: Height and width of the part of the image that one value depends on, pixels. It
            reaches beyond the image where padding does.
        step: Distance of neighbouring values in the image, pixels, down and across.
        grid: How many places there are, down and across.
        tokens: Whether the places lie in a row, as a transformer has them.
        whole: Whether a value saw all places already, so that it can see no more.
        known: Whether the operations on the way could be followed.
    """

    size: Pair = (1, 1)
    step: Pair = (1, 1)
    grid: tuple[int, int] = (1, 1)
    tokens: bool = False
    whole: bool = False
    known: bool = True

    def widened(self, places: Sequence[float]) -> "Field":
        """Return the field of values that see so many neighbouring places."""
        if self.whole:
            return self
        size = [
            size + (count - 1) * step
            for size, count, step in zip(self.size, places, self.step, strict=True)
        ]
        return replace(self, size=(size[0], size[1]))

    def strided(self, strides: Sequence[float], grid: Sequence[int]) -> "Field":
        """Return the field after strides; below 1 for finer grids."""
        step = [step * stride for step, stride in zip(self.step, strides, strict=True)]
        return replace(self, step=(step[0], step[1]), grid=(grid[0], grid[1]))

    def everything(self) -> "Field":
        """Return the field of a value that sees all places."""
        return replace(self.widened(self.grid), grid=(1, 1), whole=True)


class FieldTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows receptive fields through everything that runs inside it.

    Args:
        images: The network's input, [B, C, H, W].
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        grid = (int(images.shape[-2]), int(images.shape[-1]))
        self._alive: list[Tensor] = [images]  # an id names a tensor as long as it lives
        self._fields: dict[int, Field] = {id(images): Field(grid=grid)}
        self._batch = len(images)

    def field(self, values: Tensor) -> Field | None:
        """Return what a tensor's values see; None if nothing of the image, or it isn't known."""
        found = self._fields.get(id(values))
        return found if found is not None and found.known else None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and note what its outputs see."""
        result = func(*args, **(kwargs or {}))
        seen = [
            (value, self._fields[id(value)])
            for value in _tensors((args, (kwargs or {}).values()))
            if id(value) in self._fields
        ]
        if seen:
            for output in _tensors(result):
                self._alive.append(output)
                self._fields[id(output)] = self._after(func, args, seen, output)
        return result

    def _after(
        self, func: Any, args: Sequence[Any], seen: Sequence[tuple[Tensor, Field]], output: Tensor
    ) -> Field:
        name = func.overloadpacket.__name__
        field = _joined([field for _, field in seen])
        values = seen[0][0]
        if name in _RULES:
            return _RULES[name](field, args, values, output)
        if name in ("mm", "addmm") and _mixes_places(field, args, self._batch):
            return field.everything()
        if name in ("view", "_unsafe_view") and values.ndim == 4 and not field.tokens:
            return _reshaped(field, output)
        if prod(field.grid) > 1 and _over_places(name, args, field, values):
            return field.everything()
        return field


def _joined(fields: Sequence[Field]) -> Field:
    """Return the field of values made of several tensors: the places of the finest of them."""
    finest = max(fields, key=lambda field: prod(field.grid))
    size = [max(field.size[axis] for field in fields) for axis in (0, 1)]
    return replace(
        finest,
        size=(size[0], size[1]),
        whole=any(field.whole for field in fields),
        known=all(field.known for field in fields),
    )


def _convolution(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
    kernel, stride, dilation = args[1].shape[2:], args[3], args[5]
    grid = output.shape[2:]
    if args[6]:  # transposed
        reach = [ceil(size / step) for size, step in zip(kernel, stride, strict=True)]
        return field.widened(reach).strided([1 / step for step in stride], grid)
    reach = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True)]
    return field.widened(reach).strided(stride, grid)


def _pool(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    return field.widened(kernel).strided(stride, output.shape[2:])


def _adaptive_pool(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
    sides = list(zip(values.shape[2:], output.shape[2:], strict=True))
    # Windows whose number does not divide the side begin and end within a place.
    reach = [ceil(side / parts) + (side % parts > 0) for side, parts in sides]
    return field.widened(reach).strided([side / parts for side, parts in sides], output.shape[2:])


def _upsample(reach: int) -> Callable[[Field, Sequence[Any], Tensor, Tensor], Field]:
    def rule(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
        sides = list(zip(values.shape[2:], output.shape[2:], strict=True))
        places = [min(before, reach) if before != after else 1 for before, after in sides]
        steps = [before / after for before, after in sides]
        return field.widened(places).strided(steps, output.shape[2:])

    return rule


def _attention(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
    """Attend to all places; where only a window of them is attended to, its place is not known."""
    count, places = values.shape[-2], prod(field.grid)
    whole = replace(field.everything(), grid=field.grid)
    return whole if places <= count else replace(whole, known=places == 1)


def _padded(field: Field, args: Sequence[Any], values: Tensor, output: Tensor) -> Field:
    return replace(field, grid=(int(output.shape[-2]), int(output.shape[-1])))


_Rule = Callable[[Field, Sequence[Any], Tensor, Tensor], Field]
_RULES: dict[str, _Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool,
    "avg_pool2d": _pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "adaptive_max_pool2d": _adaptive_pool,
    "upsample_nearest2d": _upsample(1),
    "upsample_bilinear2d": _upsample(2),
    "upsample_bicubic2d": _upsample(4),
    "bmm": _attention,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "constant_pad_nd": _padded,
    "reflection_pad2d": _padded,
    "replication_pad2d": _padded,
}
_REDUCING = ("mean", "sum", "amax", "amin", "var_mean", "linalg_vector_norm")


def _over_places(name: str, args: Sequence[Any], field: Field, values: Tensor) -> bool:
    """Tell whether an operation reduces the dimensions of the places."""
    if name not in _REDUCING:
        return False
    dims = next((item for item in args[1:] if isinstance(item, list | tuple)), range(values.ndim))
    reduced = [int(values.shape[dim]) for dim in dims]
    return prod(reduced) >= prod(field.grid) or sorted(reduced) == sorted(field.grid)


def _mixes_places(field: Field, args: Sequence[Any], batch: int) -> bool:
    """Tell whether a dense layer sees all places: of flattened maps, or of tokens turned round."""
    rows, columns = args[-2].shape
    return bool(rows == batch or (field.tokens and columns == prod(field.grid)))


def _reshaped(field: Field, output: Tensor) -> Field:
    """Return the field of maps in another shape, if their places still lie side by side there."""
    places, shape = prod(field.grid), tuple(output.shape)
    if places == 1 or field.grid in (shape[-2:], shape[1:3]):
        return field
    if places in shape[1:]:
        return replace(field, tokens=True)
    # Flattened: one row an image, or one a place.
    return replace(field, known=field.known and output.ndim == 2)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Iterable) and not isinstance(values, str | torch.Size):
        for value in values:
            yield from _tensors(value)


def _pair(value: Any) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
