"""``viewfinder add NAME SOURCE``: a data set of one's own, ready for ``dvc repro``."""

import os
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_method

from viewfinder.data.archive import Archive, read_checksums, write_checksums
from viewfinder.data.readers.record import Reading
from viewfinder.data.recognition.formats import recognise
from viewfinder.data.recognition.names import Format
from viewfinder.data.schema import SPLITS
from viewfinder.data.sources.fetch import fetch
from viewfinder.data.transfer.local import is_local
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file
from viewfinder.stages.first_experiment import (
    first_experiment,
    single_objects,
    tasks_served,
)
from viewfinder.stages.first_look import FirstLook, look_at_images
from viewfinder.stages.given_source import GivenSource
from viewfinder.stages.params_file import add_to_params
from viewfinder.workspace import ADDED, project_dir, root

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SOURCES = "src/viewfinder/data/sources/fetch.py"
_SHARES = {"val": 0.15, "test": 0.15}
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
    if is_local(source) and not source.startswith("file://") and not local.exists():
        raise ViewfinderError(
            f"{source} does not exist; expected a folder, an archive or an address. Correct the "
            f"path; a relative one counts from {Path.cwd()}."
        )
    inside = local.exists() and local.resolve().is_relative_to(project.resolve())
    place = local.resolve().relative_to(project.resolve()) if inside else local.resolve()
    url = place.as_posix() if local.exists() else source
    (root() / ADDED).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root() / ADDED) as scratch:
        given = GivenSource(source, Path(scratch))
        with given.naming():
            fetch(Path(scratch), files=[{"url": url}])
            write_checksums(Path(scratch))
            with Archive(Path(scratch)) as archive:
                found = recognise(archive)
                reading = get_method(found.reader)(archive, **found.options)
                look = look_at_images(reading, archive)
        chosen = _choose(name, found, reading, look, given, task, project)
        files = [{"url": url}]
        if not local.exists():
            files = _keep(Path(scratch), name, url)
        experiment = first_experiment(name, chosen, look.shape)
        with new_file(config) as path:
            text = _dataset_config(name, files, found, reading, chosen)
            path.write_text(text, encoding="utf-8")
            watched = url if local.exists() else _SOURCES
            add_to_params(project / "params.yaml", name, {"watch": watched}, experiment)
    print(
        f"Wrote conf/dataset/{name}.yaml; added the data set and an experiment for "
        f"{chosen} to params.yaml.\n"
        f"Next: dvc repro evaluate@{name} export@{name}   (`dvc repro` runs all experiments)"
    )


def _choose(
    name: str,
    found: Format,
    reading: Reading,
    look: FirstLook,
    source: GivenSource,
    task: str | None,
    project: Path,
) -> str:
    """Say what was found, and return the experiment's task."""
    recipes = {path.stem for path in (project / "conf" / "experiment").glob("*.yaml")}
    tasks = [item for item in tasks_served(reading) if item in recipes]
    _print_findings(name, found, reading, tasks, look, source)
    if not tasks:
        raise ViewfinderError(f"{source.name} holds nothing that a task can learn from.")
    if task == "localization" and single_objects(reading):
        tasks.append(task)
    if task is not None and task not in tasks:
        raise ViewfinderError(
            f"{source.name} can't serve {task!r}; it can serve {', '.join(tasks)}."
        )
    return task or tasks[0]


def _keep(scratch: Path, name: str, url: str) -> list[dict[str, str]]:
    """Leave what was fetched where `download` finds it by its checksum; return the source."""
    kept = root() / ADDED / name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(scratch, kept, copy_function=os.link)
    sums = read_checksums(scratch)
    # A pattern stands for several files, which one checksum can't be meant for.
    return [{"url": url, "sha256": next(iter(sums.values()))} if len(sums) == 1 else {"url": url}]


def _check_name(name: str, config: Path) -> None:
    # In params.yaml, `on` and `no` would be truth values and `null` nothing.
    if not _NAME.fullmatch(name) or yaml.safe_load(name) != name:
        raise ViewfinderError(
            f"{name!r} can't be a data set's name. Use a lower-case letter, then lower-case "
            "letters, digits and `_`; not a word of YAML such as `on` or `null`."
        )
    if config.exists():
        raise ViewfinderError(
            f"There is a data set {name!r} already: {config}. Choose another name, or remove it."
        )


def _print_findings(
    name: str,
    found: Format,
    reading: Reading,
    tasks: list[str],
    look: FirstLook,
    source: GivenSource,
) -> None:
    sides = Counter(record.split for record in reading.records)
    split = ", ".join(f"{side} {sides[side]:,}" for side in SPLITS if sides[side])
    if split and not sides["train"]:
        split += "; nothing to train on, so all are divided anew by class"
    objects = sum(len(record.objects or ()) for record in reading.records)
    shown = ", ".join(reading.classes[:10]) + (" …" if len(reading.classes) > 10 else "")
    print(f"{name}: {found.name}{f'; {found.note}' if found.note else ''}")
    print(f"  images       {len(reading.records):,}")
    print(f"  classes      {len(reading.classes):,}: {shown}")
    if objects:
        print(f"  objects      {objects:,}")
    print(f"  split        {split or 'none of its own: drawn by class'}")
    print(f"  can serve    {', '.join(tasks) or 'no task'}")
    single = single_objects(reading)
    if single and "localization" not in tasks:
        print(f"  one object   {single:,} images; --task localization keeps these")
    if look.not_taken:
        kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in look.not_taken.most_common(5))
        print(f"  not taken    {look.not_taken.total():,} files beside the images: {kinds}")
    problems = [*reading.left_out, *look.unreadable]
    if problems:
        print(f"  problems     {len(problems):,} samples can't be used:")
        for item in problems[:_PROBLEMS_SHOWN]:
            print(f"    {item.id}: {source.named(item.reason)}")
        print("    Correct them, or set `on_error: skip` under `split:` to leave them out.")


def _dataset_config(
    name: str, files: list[dict[str, str]], found: Format, reading: Reading, task: str
) -> str:
    document = {
        "name": name,
        "num_classes": len(reading.classes),
        "source": {
            "_target_": "viewfinder.data.sources.fetch.fetch",
            "_partial_": True,
            "files": files,
        },
        "reader": {"_target_": found.reader, "_partial_": True, **found.options},
        "split": _split_config(reading)
        | ({"single_object": True} if task == "localization" else {}),
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if "${" in text:
        line = next(line for line in text.splitlines() if "${" in line).strip()
        raise ViewfinderError(
            f"The data set's config would have the line {line!r}, in which '${{' refers to another "
            "value. Rename the folder, the file or the column without it."
        )
    return f"# {found.name}, added with `viewfinder add`.\n{text}"


def _split_config(reading: Reading) -> dict[str, Any]:
    given = {record.split for record in reading.records}
    official = "train" in given
    drawn = {side: share for side, share in _SHARES.items() if not official or side not in given}
    method = "official_split" if official else "stratified_split"
    return {
        "_target_": f"viewfinder.data.splits.assign.{method}",
        "_partial_": True,
        **drawn,
        **({"seed": 42} if drawn else {}),
    }
