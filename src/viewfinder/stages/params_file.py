"""A line more in ``params.yaml``, which people write and comment by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file


def add_to_params(
    path: Path, name: str, dataset: Mapping[str, Any], experiment: Mapping[str, Any]
) -> None:
    """Add a data set and an experiment; everything else, comments too, stays as it is.

    Args:
        path: params.yaml.
        name: The name of both.
        dataset: The entry under ``datasets``.
        experiment: The entry under ``experiments``.

    Raises:
        ViewfinderError: If the name is taken, or the file is not written a line an entry.
    """
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
