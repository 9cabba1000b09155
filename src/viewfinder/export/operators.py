"""How the package's own operators are written in ONNX."""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript.onnx_opset import opset18

# Importing the module registers `viewfinder::suppress` with torch.
import viewfinder.models.suppression  # noqa: F401

_IMAGE_AND_BOX = [0, 2]
# Its annotations are for values; what it gets here are tensors of a graph that is being written.
op: Any = opset18


def _suppress(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Write ``viewfinder::suppress`` as ONNX NonMaxSuppression with one class.

    NonMaxSuppression lists what it keeps as rows of image, class and box number; their scores go
    back to their places among zeros. It takes corners in any order, so left and top may be swapped.

    Args:
        boxes: Float32 [B, N, 4].
        scores: Float32 [B, N].
        iou_threshold: Overlap above which the worse box loses.
    """
    kept = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, op.Constant(value_ints=[1])),
        op.Shape(scores, start=1, end=2),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[0.0]),
    )
    places = op.Gather(kept, op.Constant(value_ints=_IMAGE_AND_BOX), axis=1)
    zeros = op.Expand(op.Constant(value_float=0.0), op.Shape(scores))
    return op.ScatterND(zeros, places, op.GatherND(scores, places))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the ONNX form of each of the package's operators."""
    return {torch.ops.viewfinder.suppress.default: _suppress}
