"""The predictions for a batch of images, and how wrong each of them is."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from viewfinder.data.loading.dataset import Batch
from viewfinder.tasks.base import VisionTask
from viewfinder.tasks.measuring import Predictions


@torch.inference_mode()
def judge(task: VisionTask, batch: Batch) -> tuple[Predictions, Tensor]:
    """Predict for a batch, and return the loss of each image beside, float32 [B].

    The network computes wherever it lies; what is returned lies on the CPU. Losses that draw
    regions at random draw the same ones every time.
    """
    task.eval()
    count = len(batch["id"])
    if not task.divisible and count > 1:
        parts = [judge(task, _image_of(batch, index)) for index in range(count)]
        predictions = {name: torch.cat([found[name] for found, _ in parts]) for name in parts[0][0]}
        return predictions, torch.cat([loss for _, loss in parts])
    batch = tree_map(
        lambda value: value.to(task.device) if isinstance(value, Tensor) else value, batch
    )
    pixels = task.normalize(batch["image"])
    outputs = task.outputs(pixels)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(0)
        losses = [
            task.losses(
                _outputs_of(outputs, index) if task.divisible else outputs, _image_of(batch, index)
            )
            for index in range(count)
        ]
    totals = [torch.stack(list(terms.values())).sum() for terms in losses]
    return (
        {name: values.cpu() for name, values in task.predictions(outputs, pixels).items()},
        torch.stack(totals).float().cpu(),
    )


def _outputs_of(outputs: Any, index: int) -> Any:
    """Return the raw outputs for one image of a batch, as a batch of one."""
    return tree_map(lambda tensor: tensor[index : index + 1], outputs)


def _image_of(batch: Batch, index: int) -> Batch:
    """Return one image of a batch, as a batch of one."""
    return {name: values[index : index + 1] for name, values in batch.items()}
