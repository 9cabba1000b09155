"""The experiment that a new data set starts with: a task and settings that fit its images."""

from typing import Any

from viewfinder.data.readers.record import Reading

_EPOCHS = 20
_STRIDE, _LARGEST_SIDE, _LARGEST_FRAME = 32, 224, 320  # pixels
_SMALL_SIDE = 64
_WHOLE_IMAGE = ("classification", "multilabel")


def tasks_served(reading: Reading) -> list[str]:
    """Return the tasks that a data set can serve, the one it was likely made for first."""
    if not reading.records:
        return []
    if "label" in reading.annotations:
        return ["classification"]
    if "labels" in reading.annotations:
        return ["multilabel"]
    if "mask" in reading.annotations:
        return ["segmentation"]
    objects = [record.objects or () for record in reading.records]
    if not any(objects):
        return []
    outlined = all(item.rle is not None for items in objects for item in items)
    served = {
        "localization": all(len(items) == 1 for items in objects),
        "instances": outlined,
        "detection": True,
        "segmentation": outlined,
        "multilabel": len(reading.classes) > 1,
    }
    return [task for task, serves in served.items() if serves]


def single_objects(reading: Reading) -> int:
    """Return how many images hold exactly one object."""
    return sum(len(record.objects or ()) == 1 for record in reading.records)


def first_experiment(name: str, task: str, shape: tuple[int, int]) -> dict[str, Any]:
    """Return a section of params.yaml: a start that fits the images, to be changed at will.

    Args:
        name: The data set.
        task: The task.
        shape: Height and width of the median image, pixels.
    """
    if task in _WHOLE_IMAGE:
        side = min(_whole_strides(max(shape)), _LARGEST_SIDE)
        size = [side, side]
    else:
        scale = min(1.0, _LARGEST_FRAME / max(shape))
        size = [_whole_strides(side * scale) for side in shape]
    small = task == "classification" and max(size) <= _SMALL_SIDE
    network = {"model": "timm_classifier", "overrides": ["model.name=resnet18"]}
    return {
        "experiment": task,
        "dataset": name,
        "image": {"size": size},
        "trainer": {"max_epochs": _EPOCHS},
        **(network if task in _WHOLE_IMAGE and not small else {}),
    }


def _whole_strides(side: float) -> int:
    """Return a side that networks can halve five times, about as long."""
    return max(_STRIDE, _STRIDE * round(side / _STRIDE))
