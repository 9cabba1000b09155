"""One pass of a trained task over the images of a split."""

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import DataLoader

from viewfinder.data.loading.dataset import Batch
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.observer import Observer
from viewfinder.progress import progress
from viewfinder.tasks import Predictions, VisionTask

_DECIMALS = 5


def evaluate(
    task: VisionTask, loader: DataLoader[Batch], observers: Sequence[Observer] = ()
) -> dict[str, float]:
    """Predict for every image once and measure the predictions.

    Args:
        task: The trained task, on the device that it shall predict on.
        loader: Batches in a fixed order, without augmentation.
        observers: What else shall see each batch and its predictions.

    Returns:
        The task's metrics by name, rounded to five decimals.

    Raises:
        ViewfinderError: If predictions are not finite.
    """
    metrics = task.new_metrics()
    with progress(loader, "evaluate", len(loader)) as batches:
        for batch in batches:
            predictions = {
                name: value.cpu() for name, value in task.predict(batch["image"]).items()
            }
            _check_finite(predictions, batch["id"])
            metrics.update(predictions, batch)
            for observer in observers:
                observer.update(predictions, batch)
    return {name: round(value, _DECIMALS) for name, value in metrics.compute().items()}


def _check_finite(predictions: Predictions, ids: Sequence[str]) -> None:
    for name, values in predictions.items():
        broken = ~_finite_images(values)
        if broken.any():
            image = ids[int(broken.nonzero()[0])]
            raise ViewfinderError(
                f"The network's {name} for the image {image!r} hold values that are not finite "
                "numbers, so the training has diverged. Train again with a smaller learning rate."
            )


def _finite_images(values: Tensor) -> Tensor:
    """Return for each image, bool [B], whether all its values are finite."""
    return values.isfinite().flatten(start_dim=1).all(dim=1)
