"""Where a task lies while it is exported and compared."""

from collections.abc import Iterator
from contextlib import contextmanager

from viewfinder.tasks import VisionTask


@contextmanager
def evaluated_on_cpu(task: VisionTask) -> Iterator[None]:
    """Hold a task on the CPU in evaluation mode, then put it back as it was."""
    device, training = task.device, task.training
    task.to("cpu").eval()
    try:
        yield
    finally:
        task.to(device).train(training)
