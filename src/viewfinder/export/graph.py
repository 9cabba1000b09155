"""One ONNX file from uint8 images to named predictions."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from viewfinder.data.loading.transforms import Interpolation
from viewfinder.errors import ViewfinderError
from viewfinder.export.operators import translations
from viewfinder.export.placement import evaluated_on_cpu
from viewfinder.outputs import new_file
from viewfinder.tasks import VisionTask

INPUT = "images"
_TRACED_BATCH = 2
_LARGEST_FILE = 2**31
_ROOM_FOR_GRAPH = 2**24


def export_onnx(
    task: VisionTask,
    path: Path,
    *,
    size: tuple[int, int],
    metadata: Mapping[str, Any],
    interpolation: Interpolation = "linear",
    opset: int = 20,
) -> None:
    """Write a task as one ONNX file: normalisation, network and decoding.

    The graph takes ``images``, RGB or grey as the task does, uint8 [N, channels, H, W] with any N,
    and returns what ``task.forward`` returns, under the same names. The file's metadata hold, as
    JSON, ``task``, ``classes``, ``preprocessing``, what was found on validation images and the
    caller's entries. Of what was found the graph applies ``temperature`` and, to several classes an
    image, ``thresholds``; detections it returns all. The file appears under its name only once it
    is complete.

    Args:
        task: The trained task.
        path: The file to write.
        size: Height and width of the images, pixels.
        metadata: Further entries, of anything that JSON can hold.
        interpolation: How images are to be resampled to ``size``.
        opset: Version of ONNX's operators.

    Raises:
        ViewfinderError: If the network can't be exported, is too large for one file, or the file
            can't be written.
    """
    entries = _metadata(task, size, interpolation, metadata)
    _check_file_size(task)
    program = _trace(task, size, opset)
    _strip(program)
    program.model.metadata_props.update(entries)
    _write(program, path)


def _metadata(
    task: VisionTask,
    size: tuple[int, int],
    interpolation: Interpolation,
    further: Mapping[str, Any],
) -> dict[str, str]:
    height, width = size
    own: dict[str, Any] = {
        **task.measured_values,
        "task": task.name,
        "classes": task.classes,
        "preprocessing": {
            "layout": "NCHW",
            "color": "RGB" if len(task.mean) == 3 else "grey",
            "dtype": "uint8",
            "height": height,
            "width": width,
            "interpolation": interpolation,
            "normalisation": "in graph",
            "mean": _numbers(task.mean),
            "std": _numbers(task.std),
        },
    }
    taken = sorted(own.keys() & further.keys())
    if taken:
        raise ValueError(f"the export itself writes the metadata {', '.join(taken)}")
    return {name: json.dumps(value) for name, value in {**own, **further}.items()}


def _numbers(channels: Any) -> list[float]:
    """Return a buffer's numbers as they were given, without float32's rounding."""
    return [float(f"{value:.7g}") for value in channels.flatten().tolist()]


def _check_file_size(task: VisionTask) -> None:
    needed = sum(tensor.nbytes for tensor in task.state_dict().values())
    if needed + _ROOM_FOR_GRAPH > _LARGEST_FILE:
        raise ViewfinderError(
            f"The network {type(task.model).__name__} has {needed / 2**30:.1f} GiB of weights, "
            "but an ONNX file holds at most 2 GiB. Choose a smaller network."
        )


def _trace(task: VisionTask, size: tuple[int, int], opset: int) -> torch.onnx.ONNXProgram:
    # A batch of one would be taken for a constant.
    images = torch.zeros(_TRACED_BATCH, len(task.mean), *size, dtype=torch.uint8)
    try:
        with evaluated_on_cpu(task), _silence(), torch.no_grad():
            program = torch.onnx.export(
                task,
                (images,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=list(task.predict(images)),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                custom_translation_table=translations(),
                verbose=False,
            )
    except (RuntimeError, ValueError) as error:
        reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise ViewfinderError(
            f"The network {type(task.model).__name__} for images of {size[0]}x{size[1]} pixels "
            f"can't be exported to ONNX with opset {opset}: {reason[0].rstrip('.')}. "
            "Check the image size, try opset 20, or choose a network whose operations ONNX knows."
        ) from error
    assert program is not None
    # The exporter keeps the version it prefers when it can't convert to the one asked for.
    written = program.model.opset_imports[""]
    if written != opset:
        raise ViewfinderError(
            f"The network {type(task.model).__name__} can't be written with ONNX opset {opset}: "
            f"the exporter wrote opset {written}. Set the opset to {written} or to 20."
        )
    return program


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's progress and warnings off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(before)


def _strip(program: torch.onnx.ONNXProgram) -> None:
    """Take out the exporter's notes, which hold stack traces with the paths of this machine."""
    model = program.model
    model.metadata_props.clear()
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for node in graph.all_nodes():
            node.metadata_props.clear()
            values += node.outputs
        for value in values:
            value.metadata_props.clear()


def _write(program: torch.onnx.ONNXProgram, path: Path) -> None:
    try:
        with new_file(path) as draft:
            program.save(str(draft), external_data=False)
    except OSError as error:
        raise ViewfinderError(
            f"The ONNX file {path} can't be written: {error.strerror or error}. Make room or make "
            "the folder writable, then run it again."
        ) from error
