"""``viewfinder add NAME SOURCE``: a data set of one's own, ready for ``dvc repro``."""

import re
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from hydra.utils import get_method

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.image_size import image_size
from viewfinder.data.readers.record import Reading
from viewfinder.data.recognition.formats import recognise
from viewfinder.data.recognition.names import Format
from viewfinder.data.schema import SPLITS
from viewfinder.data.sources.fetch import fetch
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.stages.params_file import add_to_params
from viewfinder.workspace import project_dir

_NAME = re.compile(r"[a-z0-9_]+")
_SOURCES = "src/viewfinder/data/sources"
_SHARES = {"val": 0.15, "test": 0.15}
_EPOCHS = 20
_IMAGES_MEASURED = 100
_STRIDE, _LARGEST_SIDE, _LARGEST_FRAME = 32, 224, 320  # pixels
_SMALL_SIDE = 64
_WHOLE_IMAGE = ("classification", "multilabel")
_PROBLEMS_SHOWN = 5


def main(name: str, source: str, task: str | None) -> None:
    """Write ``conf/dataset/<name>.yaml`` and add the data set and an experiment to params.yaml.

    Args:
        name: What to call the data set and its experiment.
        source: A folder, an archive or an address.
        task: The experiment's task; None takes the first that the data set can serve.

    Raises:
        ViewfinderError: If the name is taken, the format can't be told, or the data set can't
            serve the task.
    """
    project = project_dir()
    config = project / "conf" / "dataset" / f"{name}.yaml"
    _check_name(name, config)
    local = Path(source).expanduser()
    url = str(local.resolve()) if local.exists() else source
    with tempfile.TemporaryDirectory() as scratch:
        fetch(Path(scratch), files=[{"url": url}])
        write_checksums(Path(scratch))
        with Archive(Path(scratch)) as archive:
            found = recognise(archive)
            reading = get_method(found.reader)(archive, **found.options)
            shape = _median_shape(reading, archive)
    tasks = [item for item in _tasks(reading) if (project / f"conf/task/{item}.yaml").is_file()]
    _print_findings(name, found, reading, tasks)
    if not tasks:
        raise ViewfinderError(f"{source} holds nothing that a task can learn from.")
    if task == "localization" and _single(reading):
        tasks.append(task)
    if task is not None and task not in tasks:
        raise ViewfinderError(f"{source} can't serve {task!r}; it can serve {', '.join(tasks)}.")
    with new_file(config) as path:
        text = _dataset_config(name, url, found, reading, task or tasks[0])
        path.write_text(text, encoding="utf-8")
    experiment = _experiment(name, task or tasks[0], shape)
    watched = _watched(local.resolve(), project) if local.exists() else _SOURCES
    add_to_params(project / "params.yaml", name, {"watch": watched}, experiment)
    print(
        f"Wrote conf/dataset/{name}.yaml; added the data set and an experiment for "
        f"{task or tasks[0]} to params.yaml.\n"
        f"Next: dvc repro evaluate@{name} export@{name}   (`dvc repro` runs all experiments)"
    )


def _check_name(name: str, config: Path) -> None:
    if not _NAME.fullmatch(name):
        raise ViewfinderError(
            f"{name!r} can't be a data set's name. Use lower-case letters, digits and `_`."
        )
    if config.exists():
        raise ViewfinderError(
            f"There is a data set {name!r} already: {config}. Choose another name, or remove it."
        )


def _tasks(reading: Reading) -> list[str]:
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
    outlined = all(item.rle is not None for items in objects for item in items)
    served = {
        "localization": all(len(items) == 1 for items in objects),
        "instances": outlined,
        "detection": True,
        "segmentation": outlined,
        "multilabel": len(reading.classes) > 1,
    }
    return [task for task, serves in served.items() if serves]


def _single(reading: Reading) -> int:
    """Return how many images hold exactly one object."""
    return sum(len(record.objects or ()) == 1 for record in reading.records)


def _experiment(name: str, task: str, shape: tuple[int, int]) -> dict[str, Any]:
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
    start = {"task": task} if task == "multilabel" else {"experiment": task}
    network = {"model": "timm_classifier", "overrides": ["model.name=resnet18"]}
    return {
        **start,
        "dataset": name,
        "image": {"size": size},
        "trainer": {"max_epochs": _EPOCHS},
        **(network if task in _WHOLE_IMAGE and not small else {}),
    }


def _whole_strides(side: float) -> int:
    """Return a side that networks can halve five times, about as long."""
    return max(_STRIDE, _STRIDE * round(side / _STRIDE))


def _print_findings(name: str, found: Format, reading: Reading, tasks: list[str]) -> None:
    sides = Counter(record.split for record in reading.records)
    split = ", ".join(f"{side} {sides[side]:,}" for side in SPLITS if sides[side])
    objects = sum(len(record.objects or ()) for record in reading.records)
    shown = ", ".join(reading.classes[:10]) + (" …" if len(reading.classes) > 10 else "")
    print(f"{name}: {found.name}{f'; {found.note}' if found.note else ''}")
    print(f"  images       {len(reading.records):,}")
    print(f"  classes      {len(reading.classes):,}: {shown}")
    if objects:
        print(f"  objects      {objects:,}")
    print(f"  split        {split or 'none of its own: drawn by class'}")
    print(f"  can serve    {', '.join(tasks) or 'no task'}")
    single = _single(reading)
    if single and "localization" not in tasks:
        print(f"  one object   {single:,} images; --task localization keeps these")
    if reading.left_out:
        print(f"  problems     {len(reading.left_out):,} samples can't be used:")
        for item in reading.left_out[:_PROBLEMS_SHOWN]:
            print(f"    {item.id}: {item.reason}")
        print("    Correct them, or set `on_error: skip` under `split:` to leave them out.")


def _dataset_config(name: str, url: str, found: Format, reading: Reading, task: str) -> str:
    document = {
        "name": name,
        "num_classes": len(reading.classes),
        "source": {
            "_target_": "viewfinder.data.sources.fetch.fetch",
            "_partial_": True,
            "files": [{"url": url}],
        },
        "reader": {"_target_": found.reader, "_partial_": True, **found.options},
        "split": _split_config(reading)
        | ({"single_object": True} if task == "localization" else {}),
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return f"# {found.name}, added with `viewfinder add`.\n{text}"


def _split_config(reading: Reading) -> dict[str, Any]:
    given = {record.split for record in reading.records} - {None}
    missing = {side: share for side, share in _SHARES.items() if side not in given}
    method = "official_split" if given else "stratified_split"
    return {
        "_target_": f"viewfinder.data.splits.assign.{method}",
        "_partial_": True,
        **(missing if given else _SHARES),
        **({"seed": 42} if missing else {}),
    }


def _median_shape(reading: Reading, archive: Archive) -> tuple[int, int]:
    """Return the median height and width of the images, pixels."""
    step = max(1, len(reading.records) // _IMAGES_MEASURED)
    sizes = []
    for record in reading.records[::step]:
        with suppress(ViewfinderError):  # `split` names the files that can't be read
            sizes.append(image_size(record.read(archive), record.id))
    widths, heights = zip(*sizes or [(_LARGEST_SIDE, _LARGEST_SIDE)], strict=True)
    return round(median(heights)), round(median(widths))


def _watched(source: Path, project: Path) -> str:
    inside = source.is_relative_to(project.resolve())
    return str(source.relative_to(project.resolve()) if inside else source)
