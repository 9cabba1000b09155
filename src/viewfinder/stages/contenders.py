"""The models that ``viewfinder compare`` is given: experiments, revisions and MLflow runs."""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from viewfinder.errors import ViewfinderError, did_you_mean
from viewfinder.stages.revision import fetch_from_revision

if TYPE_CHECKING:
    from viewfinder.evaluation.comparison.comparing import Contender
    from viewfinder.evaluation.predictions.file import PredictionsFile

_RUN_ID = re.compile("[0-9a-f]{32}")
_SHOWN_DIGITS = 8
_KINDS = (
    "An experiment of this checkout, REVISION:EXPERIMENT such as HEAD~1:classification, a revision "
    "beside an experiment, or an MLflow run id is expected."
)


@dataclass(frozen=True)
class Files:
    """What the stages of one model wrote; None for what there is not.

    Attributes:
        name: What to call the model.
        predictions: Its table of predictions.
        training: What its training told of itself.
        certificate: That of its export.
        fetched: Whether they were fetched from elsewhere.
    """

    name: str
    predictions: Path
    training: Path | None
    certificate: Path | None
    fetched: bool = True


def find_contenders(words: Sequence[str], project: Path, folder: Path) -> list[Files]:
    """Find the models that words stand for.

    Args:
        words: As given on the command line.
        project: The checkout.
        folder: An existing folder for what is fetched from elsewhere.

    Raises:
        ViewfinderError: If a word stands for no model, or one elsewhere has no predictions.
    """
    experiments = _known_experiments(project)
    named = _experiment_of(words, experiments)
    found = []
    for number, word in enumerate(words):
        own = folder / str(number)
        own.mkdir()
        found.append(_find(word, project, own, experiments, named))
    return found


def open_contenders(found: Sequence[Files]) -> "list[Contender]":
    """Open the models that were found.

    Raises:
        ViewfinderError: If a model has no predictions, or none of this version.
    """
    from viewfinder.evaluation.comparison.comparing import Contender
    from viewfinder.evaluation.comparison.cost import read_cost

    return [
        Contender(files.name, _open(files), read_cost(files.training, files.certificate))
        for files in found
    ]


def _open(files: Files) -> "PredictionsFile":
    from viewfinder.evaluation.predictions.file import PredictionsFile

    try:
        return PredictionsFile(files.predictions)
    except ViewfinderError as error:
        if not files.fetched:
            raise
        raise ViewfinderError(
            f"The predictions of {files.name!r} can't be used: another version of this program "
            "wrote them, or they are damaged. Evaluate that model again with this version. "
            f"({error})"
        ) from error


def _known_experiments(project: Path) -> list[str]:
    """Return the experiments that were evaluated, or that ``params.yaml`` names."""
    evaluated = {path.parent.name for path in project.glob("reports/*/predictions.parquet")}
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8")) or {}
    return sorted(evaluated | set(params.get("experiments") or {}))


def _experiment_of(words: Sequence[str], experiments: Sequence[str]) -> str | None:
    """Return the experiment that a revision without one means: that of the first other word."""
    for word in words:
        name = word.rpartition(":")[2]
        if word in experiments or ":" in word:
            return name
    return None


def _find(
    word: str, project: Path, folder: Path, experiments: Sequence[str], named: str | None
) -> Files:
    if word in experiments:
        return _of_checkout(word, project)
    revision, colon, experiment = word.rpartition(":")
    if colon and _is_revision(revision, project):
        return _of_revision(revision, experiment, project, folder)
    if colon:
        raise ViewfinderError(f"{revision!r} in {word!r} is no Git revision of this checkout.")
    if _RUN_ID.fullmatch(word):
        return _of_run(word, folder)
    if _is_revision(word, project):
        if named is None:
            raise ViewfinderError(
                f"Which experiment of the revision {word!r}? Write {word}:EXPERIMENT."
            )
        return _of_revision(word, named, project, folder)
    known = f" Experiments here: {', '.join(experiments)}." if experiments else ""
    raise ViewfinderError(
        f"There is no experiment {word!r}.{did_you_mean(word, experiments)}{known} {_KINDS}"
    )


def _of_checkout(name: str, project: Path) -> Files:
    reports = project / "reports" / name
    if not (reports / "predictions.parquet").is_file():
        raise ViewfinderError(
            f"There are no predictions of {name!r}: reports/{name}/predictions.parquet is missing. "
            f"Run `dvc repro evaluate@{name}`."
        )
    training, certificate = reports / "train.json", project / "exports" / name / "certificate.json"
    return Files(
        name,
        reports / "predictions.parquet",
        training if training.is_file() else None,
        certificate if certificate.is_file() else None,
        fetched=False,
    )


def _of_revision(revision: str, experiment: str, project: Path, folder: Path) -> Files:
    def fetch(path: str) -> Path | None:
        return fetch_from_revision(project, revision, path, folder)

    return _gathered(
        f"{revision}:{experiment}",
        fetch,
        f"reports/{experiment}/predictions.parquet",
        f"reports/{experiment}/train.json",
        f"exports/{experiment}/certificate.json",
        f"The revision {revision!r} has no predictions of an experiment {experiment!r}: it knows "
        "no such experiment, or was made before predictions were kept.",
    )


def _of_run(run_id: str, folder: Path) -> Files:
    from viewfinder import tracking

    run = tracking.find_run(run_id)
    return _gathered(
        f"{run.name} ({run_id[:_SHOWN_DIGITS]})",
        lambda path: run.download(path, folder),
        "test/predictions.parquet",
        "training/train.json",
        "export/certificate.json",
        f"The MLflow run {run_id} ({run.name}) has no artifact test/predictions.parquet. Only runs "
        "that the stage evaluate has judged have one.",
    )


def _gathered(
    name: str,
    fetch: Callable[[str], Path | None],
    predictions: str,
    training: str,
    certificate: str,
    none: str,
) -> Files:
    table = fetch(predictions)
    if table is None:
        raise ViewfinderError(none)
    return Files(name, table, fetch(training), fetch(certificate))


def _is_revision(word: str, project: Path) -> bool:
    """Return whether Git, if the checkout has it, knows a commit by this name."""
    if not word or word.startswith("-"):
        return False
    try:
        asked = subprocess.run(
            ("git", "rev-parse", "--verify", "--quiet", f"{word}^{{commit}}"),
            cwd=project,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return asked.returncode == 0
