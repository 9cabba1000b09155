"""One batch through task and network before the training: do they fit each other?"""

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.base import VisionTask
from viewfinder.training.failures import out_of_memory

_IMAGES = 2
_MISFITS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    AssertionError,
)


def rehearse(task: VisionTask, loader: DataLoader[Batch]) -> None:
    """Predict for two images, compute losses and metrics, and leave everything as it was.

    Args:
        task: The task with its network, on the CPU.
        loader: The validation batches.

    Raises:
        ViewfinderError: If the network's outputs are not what the task learns from, or the images
            are not what the network takes.
    """
    batch = _first(loader)
    images = batch["image"]
    outputs = None
    task.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = task.outputs(task.normalize(images))
            task.losses(outputs, batch)
            height, width = images.shape[-2:]
            task.new_metrics().update(task.decode(outputs, (height, width)), batch)
    except _MISFITS as error:
        if out_of_memory(error):
            raise
        raise ViewfinderError(_message(task, images, outputs, error)) from error
    finally:
        task.train()


def rehearse_alone(task: VisionTask, loader: DataLoader[Batch]) -> None:
    """Let a network see one image as it learns, and leave everything as it was.

    Args:
        task: The task with its network, on the CPU.
        loader: The validation batches.

    Raises:
        ViewfinderError: If the network can't learn from batches of one image: batch normalisation
            needs several values of each channel.
    """
    image = _first(loader)["image"][:1]
    before = {name: buffer.clone() for name, buffer in task.named_buffers()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            task.train()
            task.outputs(task.normalize(image))
    except _MISFITS as error:
        if out_of_memory(error):
            raise
        raise ViewfinderError(
            f"The network {type(task.model).__name__} can't learn from batches of one image of "
            f"{list(image.shape[1:])}: {_reason(error)}. Set loader.batch_size to 2 or more (and "
            "have as many training images), raise image.size, or choose another model."
        ) from error
    finally:
        for name, buffer in task.named_buffers():
            buffer.copy_(before[name])


def _first(loader: DataLoader[Batch]) -> Batch:
    """Load a few images in this process."""
    few: DataLoader[Batch] = DataLoader(
        loader.dataset,
        batch_size=_IMAGES,
        sampler=loader.sampler,
        collate_fn=loader.collate_fn,
        generator=torch.Generator(),
    )
    return next(iter(few))


def _message(task: VisionTask, images: Tensor, outputs: object, error: Exception) -> str:
    network = type(task.model).__name__
    reason = _reason(error)
    if outputs is None:
        return (
            f"The network {network} can't take images of {list(images.shape)}, as image.size has "
            f"them: {reason}. Choose another image.size or model."
        )
    return (
        f"The task {task.name!r} and the network {network} do not fit each other: for images of "
        f"{list(images.shape)} and {len(task.classes)} classes the network returns "
        f"{_shape(outputs)}, and the task can't learn from that ({reason}). Choose a model for "
        f"{task.name} from conf/model, or another task."
    )


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _shape(outputs: object) -> str:
    if isinstance(outputs, Tensor):
        return f"a tensor of shape {list(outputs.shape)}"
    if isinstance(outputs, dict):
        return f"a mapping with {', '.join(map(str, outputs))}"
    if isinstance(outputs, list | tuple):
        shapes = [list(item.shape) for item in outputs if isinstance(item, Tensor)]
        return f"{type(outputs).__name__} with tensors of shapes {shapes}"
    return f"a {type(outputs).__name__}"
