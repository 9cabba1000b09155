"""``viewfinder add NAME SOURCE``: a data set of one's own, ready for ``dvc repro``."""

import io
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from hydra.utils import get_method
from PIL import Image

from viewfinder.data.archive import Archive, write_checksums
from viewfinder.data.readers.record import Reading
from viewfinder.data.recognition import Format, recognise
from viewfinder.data.schema import SPLITS
from viewfinder.data.sources.fetch import fetch
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.workspace import project_dir

_NAME = re.compile(r"[a-z0-9_]+")
_SOURCES = "src/viewfinder/data/sources"
_SHARES = {"val": 0.15, "test": 0.15}
_IMAGES_MEASURED = 100
_STRIDE, _LARGEST_SIDE = 32, 224  # pixels


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
            side = _input_side(reading, archive)
    tasks = _tasks(reading)
    if task is not None and task not in tasks:
        raise ViewfinderError(
            f"{source} can't serve the task {task!r}. It can serve {', '.join(tasks) or 'none'}."
        )
    if not tasks:
        raise ViewfinderError(f"{source} holds nothing that a task can learn from.")
    _print_findings(name, found, reading, tasks)
    with new_file(config) as path:
        path.write_text(_dataset_config(name, url, found, reading), encoding="utf-8")
    experiment = {
        "experiment": task or tasks[0],
        "dataset": name,
        "image": {"size": [side, side]},
    }
    watched = _watched(local.resolve(), project) if local.exists() else _SOURCES
    _add_to_params(project / "params.yaml", name, {"watch": watched}, experiment)
    print(f"Wrote conf/dataset/{name}.yaml; added {name} to params.yaml. Next: dvc repro")


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
    if "label" in reading.annotations:
        return ["classification"]
    tasks = []
    if "labels" in reading.annotations:
        tasks.append("multilabel")
    if "mask" in reading.annotations:
        tasks.append("segmentation")
    if "objects" in reading.annotations:
        objects = [record.objects or () for record in reading.records]
        tasks.append("detection")
        if all(len(items) == 1 for items in objects):
            tasks.insert(0, "localization")
        if all(item.rle is not None for items in objects for item in items):
            tasks.append("segmentation")
        if "multilabel" not in tasks:
            tasks.append("multilabel")
    return tasks


def _print_findings(name: str, found: Format, reading: Reading, tasks: list[str]) -> None:
    sides = Counter(record.split for record in reading.records)
    split = ", ".join(f"{side} {sides[side]:,}" for side in SPLITS if sides[side])
    objects = sum(len(record.objects or ()) for record in reading.records)
    shown = ", ".join(reading.classes[:10]) + (" …" if len(reading.classes) > 10 else "")
    print(f"{name}: {found.name}")
    print(f"  images       {len(reading.records):,}")
    print(f"  classes      {len(reading.classes):,}: {shown}")
    if objects:
        print(f"  objects      {objects:,}")
    print(f"  split        {split or 'none of its own: drawn by class'}")
    print(f"  can serve    {', '.join(tasks)}")


def _dataset_config(name: str, url: str, found: Format, reading: Reading) -> str:
    document = {
        "name": name,
        "source": {
            "_target_": "viewfinder.data.sources.fetch.fetch",
            "_partial_": True,
            "files": [{"url": url}],
        },
        "reader": {"_target_": found.reader, "_partial_": True, **found.options},
        "split": _split_config(reading),
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


def _input_side(reading: Reading, archive: Archive) -> int:
    """Return a side for the model's input, pixels: about that of the images, but not too large."""
    step = -(-len(reading.records) // _IMAGES_MEASURED)
    sides = []
    for record in reading.records[::step]:
        try:
            with Image.open(io.BytesIO(record.read(archive))) as image:
                sides.append(max(image.size))
        except OSError:
            continue  # `split` names the files that can't be read
    side = median(sides) if sides else _LARGEST_SIDE
    return int(min(-(-side // _STRIDE) * _STRIDE, _LARGEST_SIDE))


def _watched(source: Path, project: Path) -> str:
    inside = source.is_relative_to(project.resolve())
    return str(source.relative_to(project.resolve()) if inside else source)


def _add_to_params(
    path: Path, name: str, dataset: Mapping[str, Any], experiment: Mapping[str, Any]
) -> None:
    """Add a line to each of the two sections; everything else, comments too, stays as it is."""
    lines = path.read_text(encoding="utf-8").splitlines()
    before = yaml.safe_load("\n".join(lines))
    for section, entry in (("datasets", dataset), ("experiments", experiment)):
        if name in (before.get(section) or {}):
            raise ViewfinderError(f"{path}: there is {name!r} under {section!r} already.")
        inline = yaml.safe_dump(dict(entry), default_flow_style=True, sort_keys=False, width=1000)
        lines.insert(_end_of_section(lines, section), f"  {name}: {inline.strip()}")
    text = "\n".join(lines) + "\n"
    _check_params(path, text, name)
    with new_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _end_of_section(lines: Sequence[str], section: str) -> int:
    """Return the number of the line behind a section's last one."""
    start = next((n for n, line in enumerate(lines) if line.startswith(f"{section}:")), len(lines))
    end = start + 1
    for number in range(start + 1, len(lines)):
        if lines[number].startswith(" "):
            end = number + 1
        elif lines[number].strip() and not lines[number].startswith("#"):
            break
    return min(end, len(lines))


def _check_params(path: Path, text: str, name: str) -> None:
    try:
        params = yaml.safe_load(text)
        added = all(name in params[section] for section in ("datasets", "experiments"))
    except (yaml.YAMLError, KeyError, TypeError):
        added = False
    if not added:
        raise ViewfinderError(
            f"{path} could not be extended. Expected `datasets:` and `experiments:` with one entry "
            f"a line below each; the file stays as it was. Add {name!r} by hand."
        )
