"""Models against each other: what counts as a difference, what is shown, what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from browser import Scheme, check_page
from numpy.typing import NDArray

from viewfinder import cli, tracking
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.schema import SplitInfo, split_schema
from viewfinder.data.shards import ShardWriter
from viewfinder.evaluation.comparison.differences import (
    Standing,
    discordance,
    p_value,
    standings,
)
from viewfinder.evaluation.intervals import figures
from viewfinder.evaluation.measures.image_classes import ImageClasses
from viewfinder.evaluation.predictions.columns import PredictionsInfo, predictions_schema
from viewfinder.evaluation.predictions.rows import Row, encode_map, encode_masks

CLASSES = list("abcde")
RESAMPLES = 200  # the fewest that leave room below 0.05


def measure(labels: NDArray[np.int64], found: NDArray[np.int64]) -> ImageClasses:
    """Return the measure of a model that is sure of what it found."""
    return ImageClasses(labels, np.eye(len(CLASSES), dtype=np.float32)[found], CLASSES)


def guessed(
    labels: NDArray[np.int64], accuracy: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return classes of which about a share is right."""
    right = generator.random(len(labels)) < accuracy
    others = (labels + generator.integers(1, len(CLASSES), len(labels))) % len(CLASSES)
    return np.where(right, labels, others)


def against(
    first: ImageClasses, second: ImageClasses, groups: NDArray[np.int64] | None = None
) -> Standing:
    """Return how the second model does against the first."""
    if groups is None:
        groups = np.arange(first.images)
    return standings([first, second], groups, RESAMPLES)[1]


# --- how often it is right ------------------------------------------------------------------------


def test_resamples_of_one_model_seldom_differ() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 60)
    of_model = guessed(labels, 0.85, generator).reshape(5, 60)
    called = dict.fromkeys(("accuracy", "macro_f1", "mcnemar"), 0)
    for _ in range(200):
        # Drawn class by class: both resamples have the same true classes, as of the same images.
        pair = [
            measure(labels, np.concatenate([generator.choice(row, 60) for row in of_model]))
            for _ in range(2)
        ]
        standing = against(*pair)
        for name, difference in standing.differences.items():
            called[name] += difference.significant
        assert standing.discordance is not None
        called["mcnemar"] += standing.discordance.significant
    assert max(called.values()) <= 0.08 * 200, called
    assert called["accuracy"] > 0  # a test that never calls anything would pass as well


def test_three_points_on_five_thousand_images_are_found() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, len(CLASSES), 5000)
    found = 0
    for _ in range(100):
        # Errors of the two models are independent, which makes the difference hardest to see.
        models = [measure(labels, guessed(labels, share, generator)) for share in (0.85, 0.88)]
        found += against(*models).differences["accuracy"].significant
    assert found >= 95


def test_equal_predictions_do_not_differ() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, len(CLASSES), 100)
    model = measure(labels, guessed(labels, 0.8, generator))
    standing = against(model, model)
    for difference in standing.differences.values():
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)
    assert standing.discordance is not None
    assert standing.discordance.p == 1


@pytest.mark.parametrize(("groups", "known"), [(5, False), (6, True)])
def test_too_few_groups_tell_nothing(groups: int, known: bool) -> None:
    labels = np.zeros(60, np.int64)
    worse, better = labels.copy(), labels.copy()
    worse[:groups] = 1  # an image of each group
    standing = against(measure(labels, worse), measure(labels, better), np.arange(60) % groups)
    difference = standing.differences["accuracy"]
    assert difference.value == pytest.approx(groups / 60)
    assert (difference.p is not None) == known
    assert known or difference.reason == "no interval: fewer than 6 images or groups"


def test_the_order_mirrors_the_difference() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, len(CLASSES), 200)
    first, second = (measure(labels, guessed(labels, share, generator)) for share in (0.8, 0.86))
    there, back = against(first, second), against(second, first)
    for name, forward in there.differences.items():
        backward = back.differences[name]
        assert forward.value is not None
        assert forward.low is not None
        assert forward.high is not None
        assert (backward.value, backward.low, backward.high) == pytest.approx(
            (-forward.value, -forward.high, -forward.low)
        )
        assert backward.p == forward.p
    assert there.discordance is not None
    assert back.discordance is not None
    assert (there.discordance.won, there.discordance.p) == (
        back.discordance.lost,
        back.discordance.p,
    )


def test_groups_widen_the_interval_of_the_difference() -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat(generator.integers(0, len(CLASSES), 100), 4)
    found = [np.repeat(guessed(labels[::4], share, generator), 4) for share in (0.7, 0.8)]
    models = [measure(labels, classes) for classes in found]
    alone = against(*models).differences["accuracy"]
    grouped = against(*models, groups=np.repeat(np.arange(100), 4)).differences["accuracy"]
    assert alone.value == grouped.value
    assert _width(grouped) / _width(alone) == pytest.approx(2, rel=0.25)


def test_intervals_are_those_of_the_metrics_alone() -> None:
    generator = np.random.default_rng(5)
    labels = generator.integers(0, len(CLASSES), 100)
    models = [measure(labels, guessed(labels, share, generator)) for share in (0.8, 0.9)]
    alone = figures(models[1], np.arange(100), RESAMPLES)
    both = standings(models, np.arange(100), RESAMPLES)[1].figures
    assert {name: alone[name] for name in both} == both


def test_p_values_count_the_resamples_beyond_zero() -> None:
    draws = np.concatenate([np.full(97, 0.1), np.full(2, -0.1)])
    assert p_value(draws) == p_value(-draws) == pytest.approx(2 * 3 / 100)
    assert p_value(np.full(999, 0.1)) == 2 / 1000
    assert p_value(np.full(99, 1e-17)) == 1  # what rounding leaves of no difference


def test_mcnemar_looks_at_the_images_that_one_model_alone_gets_right() -> None:
    labels = np.zeros(50, np.int64)
    first, second = labels.copy(), labels.copy()
    first[:9] = 1  # the second model alone is right
    second[9] = 1
    found = discordance(measure(labels, first), measure(labels, second))
    assert found is not None
    assert (found.won, found.lost) == (9, 1)
    assert found.p == pytest.approx(2 * (1 + 10) / 2**10)


def test_what_is_not_defined_has_a_reason() -> None:
    probabilities = np.array([[0.9, 0.1]] * 20, np.float32)
    model = ImageClasses(np.zeros(20, np.int64), probabilities, ["no", "yes"])
    difference = standings([model, model], np.arange(20), 20)[1].differences["roc_auc"]
    assert (difference.value, difference.p) == (None, None)
    assert difference.reason == "the images show one class only"
    of_one_group = standings([model, model], np.zeros(20, np.int64), 20)[1].differences["accuracy"]
    assert (of_one_group.value, of_one_group.p) == (0, None)
    assert of_one_group.reason


def _width(difference: Any) -> float:
    return float(difference.high - difference.low)


# --- the command ----------------------------------------------------------------------------------


def classified(accuracy: float, seed: int, images: int = 60) -> list[Row]:
    """Return rows of a classification whose truth is always the same."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % len(CLASSES)
    found = guessed(labels, accuracy, generator)
    return [
        {
            "label": int(label),
            "probabilities": (0.1 + 0.5 * np.eye(len(CLASSES))[other]).tolist(),
            "score": 0.6 if label == other else 0.1,
        }
        for label, other in zip(labels, found, strict=True)
    ]


def detected(shift: float, images: int = 6) -> list[Row]:
    """Return rows of a detection of one object an image."""
    box = [10.0, 10.0, 40.0, 40.0]
    return [
        {
            "boxes": [box],
            "labels": [0],
            "crowd": [False],
            "predicted_boxes": [[value + shift * (number % 3) for value in box]],
            "predicted_labels": [0],
            "predicted_scores": [0.9],
            "score": 1 - 0.1 * shift * (number % 3),
        }
        for number in range(images)
    ]


def write(
    project: Path,
    name: str,
    rows: Sequence[Row],
    *,
    task: str = "classification",
    classes: Sequence[str] = CLASSES,
    dataset: str = "made",
    digest: str = "",
) -> Path:
    """Write predictions as the stage evaluate does."""
    digest = digest or hashlib.sha256(f"{dataset}{len(rows)}".encode()).hexdigest()
    thresholds = [0.5] * len(classes) if task == "multilabel" else None
    info = PredictionsInfo(task, list(classes), dataset, digest, thresholds)
    common = {"group": None, "height": 64, "width": 64, "loss": 0.5}
    whole = [common | {"id": f"{number:03}.png"} | row for number, row in enumerate(rows)]
    path = project / "reports" / name / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(whole, schema=predictions_schema(info)), path)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two models of one test set."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "params.yaml").write_text("experiments: {small: {}, large: {}, untrained: {}}\n")
    write(tmp_path, "small", classified(0.6, 0))
    write(tmp_path, "large", classified(0.95, 1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main(["compare", *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_compare_prints_tables_and_writes_a_page(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "reports" / "small" / "train.json").write_text(
        json.dumps({"parameters": 1234567, "seconds": 80.5})
    )
    certificate = project / "exports" / "small" / "certificate.json"
    certificate.parent.mkdir(parents=True)
    certificate.write_text(json.dumps({"latency_ms": {"onnx": {"1": 0.269}}}))
    assert cli.main(["compare", "small", "large"]) == 0
    printed = capsys.readouterr().out
    assert "large is better in accuracy (+0." in printed
    assert "3 differences were tested" in printed
    for text in ("1,234,567", "80.5", "0.269", "not known: train.json is missing"):
        assert text in printed
    page = (project / "reports" / "comparisons" / "small_vs_large.html").read_text()
    assert "large is better in accuracy" in page
    assert "Became right" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert cli.main(["results"]) == 0
    assert "comparisons" not in capsys.readouterr().out


def test_compare_tells_machines_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "third", classified(0.6, 2))
    words = ["compare", "small", "large", "third", "--json", "--output", "out.html"]
    assert cli.main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["baseline"], document["images"], document["comparisons"]) == ("small", 60, 6)
    first, second, third = document["models"]
    assert "differences" not in first
    assert second["differences"]["accuracy"]["significant"]
    assert not third["differences"]["accuracy"]["significant"]
    change = second["metrics"]["accuracy"]["value"] - first["metrics"]["accuracy"]["value"]
    assert second["differences"]["accuracy"]["value"] == pytest.approx(change, abs=1e-5)
    images = second["images"]
    assert len(images["right_to_wrong"]) == second["mcnemar"]["lost"]
    assert len(images["wrong_to_right"]) == second["mcnemar"]["won"] > 0
    assert images["wrong_to_right"][0]["before"] < images["wrong_to_right"][0]["after"]
    assert {item["name"] for item in second["classes"]} == set(CLASSES)
    changed = second["classes"][0]
    assert changed["change"]["f1"] == pytest.approx(
        changed["after"]["f1"] - changed["before"]["f1"]
    )
    assert Path("out.html").stat().st_size < 5_000_000


def test_detections_are_compared_by_their_scores(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, shift in (("exact", 0.0), ("shifted", 4.0)):
        write(project, name, detected(shift), task="detection", classes=["cat", "dog"])
    assert cli.main(["compare", "exact", "shifted", "--json"]) == 0
    model = json.loads(capsys.readouterr().out)["models"][1]
    assert model["mcnemar"] is None
    assert [item["id"] for item in model["images"]["worse"]] == [
        "002.png",
        "005.png",
        "001.png",
        "004.png",
    ]
    assert model["images"]["better"] == []
    dog = model["classes"][1]
    assert (dog["name"], dog["before"]["ap"], dog["change"]["ap"]) == ("dog", None, None)


def write_test_split(project: Path, images: int) -> str:
    """Write the images of the data set "made" in another size than the network's; give the hash."""
    folder = project / "data" / "splits" / "made" / "test"
    info = SplitInfo("made", "test", CLASSES, {}, rows=images)
    content = cv2.imencode(".png", np.full((24, 40, 3), 90, np.uint8))[1].tobytes()
    with ShardWriter(folder, split_schema([], info)) as shards:
        for number in range(images):
            image = {"bytes": content, "path": "a.png"}
            row = {"id": f"{number:03}.png", "image": image, "width": 40, "height": 24}
            shards.write(row, len(content))
    return SplitFile(folder).digest()


def changed(task: str, *, good: bool) -> Row:
    """Return a row of a task, predicted well or badly."""
    label, found = 0, 0 if good else 1
    box = [8.0, 8.0, 40.0, 40.0]
    objects = {
        "boxes": [box],
        "labels": [label],
        "crowd": [False],
        "predicted_boxes": [box, box],
        "predicted_labels": [found, 2],
        "predicted_scores": [0.9, 0.2],
    }
    area = torch.zeros(64, 64, dtype=torch.int64)
    area[8:40, 8:40] = 1
    run = encode_masks(area[None].bool())
    probabilities = np.eye(len(CLASSES))[found].tolist()
    rows: dict[str, Row] = {
        "classification": {"label": label, "probabilities": probabilities},
        "multilabel": {
            "labels": [True, False, False, False, True],
            "probabilities": probabilities,
            "present": [True, not good, False, False, True],
        },
        "localization": {
            "label": label,
            "box": box,
            "probabilities": probabilities,
            "predicted_box": box,
        },
        "detection": objects,
        "instances": objects | {"masks": run, "predicted_masks": run * 2},
        "segmentation": {
            "mask": encode_map(area),
            "predicted_mask": encode_map(area if good else area * 2),
        },
    }
    return rows[task] | {"score": float(good)}


@pytest.mark.parametrize(
    ("task", "pictures"),
    [
        ("classification", 1),
        ("multilabel", 1),
        ("localization", 3),
        ("detection", 3),
        ("instances", 3),
        ("segmentation", 3),
    ],
)
def test_the_page_shows_the_images_that_changed(project: Path, task: str, pictures: int) -> None:
    digest = write_test_split(project, 4)
    classes = ["background", *CLASSES[1:]] if task == "segmentation" else CLASSES
    for name, good in (("before", (True, True, False, True)), ("after", (True, False, True, True))):
        rows = [changed(task, good=one) for one in good]
        write(project, name, rows, task=task, classes=classes, digest=digest)
    assert cli.main(["compare", "before", "after", "--output", "page.html"]) == 0
    page = Path("page.html").read_text()
    assert page.count("data:image/jpeg") == 2 * pictures
    assert page.count('title="001.png"') == page.count('title="002.png"') == 1
    assert 'title="000.png"' not in page


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_browser_shows_the_page_whole(project: Path, width: int, scheme: Scheme) -> None:
    digest = write_test_split(project, 4)
    for name, good in (("before", (True, True, False, True)), ("after", (True, False, True, True))):
        rows = [changed("detection", good=one) for one in good]
        write(project, name, rows, task="detection", digest=digest)
    assert cli.main(["compare", "before", "after", "--output", "page.html"]) == 0
    check_page(project / "page.html", width=width, scheme=scheme)


def test_a_page_of_long_names_has_a_short_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "detection-" + "optimizer.lr=0.001-" * 8
    for name in (f"{long}a", f"{long}b"):
        write(project, name, classified(0.6, 0))
    assert cli.main(["compare", f"{long}a", f"{long}b"]) == 0
    (page,) = (project / "reports" / "comparisons").iterdir()
    assert len(page.name) < 220
    assert page.name.startswith("detection-optimizer.lr=0.001")


def test_a_model_that_is_not_there_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected 2 or more" in refusal(capsys, "small")
    message = refusal(capsys, "smal", "large")
    assert "no experiment 'smal'. Did you mean 'small'?" in message
    assert "evaluate@untrained" in refusal(capsys, "untrained", "large")
    assert "'nowhere' in 'nowhere:small' is no Git revision" in refusal(
        capsys, "nowhere:small", "large"
    )
    assert not (project / "reports" / "comparisons").exists()


def test_models_that_can_not_be_compared_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "boxes", detected(0), task="detection", classes=CLASSES)
    write(project, "fewer", classified(0.8, 0, images=58))
    write(project, "elsewhere", classified(0.8, 0), dataset="other")
    write(project, "letters", classified(0.8, 0), classes=list("abcdx"))
    assert "task classification, the other of detection" in refusal(capsys, "small", "boxes")
    message = refusal(capsys, "small", "fewer")
    assert "60 images in the first and 58 in the other" in message
    assert "only the first has 058.png, 059.png" in message
    message = refusal(capsys, "small", "elsewhere")
    assert "the data sets are 'made' and 'other'" in message
    message = refusal(capsys, "small", "letters")
    assert "only the first has e; only the other has x" in message


# --- revisions ------------------------------------------------------------------------------------


def test_an_older_commit_is_compared_from_the_cache(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dvc.repo import Repo

    def git(*words: str) -> None:
        who = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
        subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)

    def keep(message: str) -> None:
        with Repo(str(project)) as repo:
            repo.add("reports/small/predictions.parquet")
        git("add", "-A")
        git("commit", "-q", "-m", message)

    git("init", "-q")
    Repo.init(str(project)).close()
    (project / ".gitignore").write_text("/reports/comparisons\n")
    keep("Begin")
    path = project / "reports" / "small" / "predictions.parquet"
    path.unlink()
    write(project, "small", classified(0.95, 3))
    keep("Train better")
    capsys.readouterr()
    assert cli.main(["compare", "HEAD~1:small", "small", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in whole["models"]] == ["HEAD~1:small", "small"]
    assert whole["models"][1]["differences"]["accuracy"]["significant"]
    assert whole["page"].endswith("HEAD-1-small_vs_small.html")
    assert cli.main(["compare", "HEAD~1", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == whole
    assert "Which experiment of the revision 'HEAD~1'" in refusal(capsys, "HEAD~1", "HEAD")
    assert "no predictions of an experiment 'medium'" in refusal(capsys, "HEAD:medium", "small")
    for file in (project / ".dvc" / "cache").rglob("*"):
        if file.is_file():
            file.unlink()
    assert "is not in DVC's cache" in refusal(capsys, "HEAD~1:small", "small")


# --- MLflow ---------------------------------------------------------------------------------------


def test_runs_are_compared_from_the_store(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = "0123456789abcdef0123456789abcdef"
    assert "There is no MLflow store" in refusal(capsys, unknown, "large")
    assert not (project / "mlflow.db").exists()
    (project / "train.json").write_text('{"parameters": 77}')
    with tracking.open_run(task="classification", name="cnn lr=1e-3") as run:
        run.log_artifact(project / "reports" / "small" / "predictions.parquet", "test")
        run.log_artifact(project / "train.json", "training")
    with tracking.open_run(task="classification", name="not judged") as other:
        pass
    assert run.id is not None
    assert other.id is not None
    assert cli.main(["compare", run.id, "large", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["models"][0]
    assert first["name"] == f"cnn lr=1e-3 ({run.id[:8]})"
    assert first["cost"]["parameters"]["value"] == 77
    assert first["cost"]["latency_ms"] == {"value": None, "reason": "not exported"}
    assert document["page"].endswith(f"cnn-lr=1e-3-{run.id[:8]}_vs_large.html")
    assert "no artifact test/predictions.parquet" in refusal(capsys, other.id, "large")
    near = run.id[:-1] + ("0" if run.id[-1] != "0" else "1")
    message = refusal(capsys, near, "large")
    assert f"Did you mean {run.id!r}?" in message
    assert "not judged" in message
    _refused_stores(project, capsys, monkeypatch, run.id)


def _refused_stores(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    run_id: str,
) -> None:
    path = project / "copy.db"  # MLflow looks at each store's version only once in a process
    shutil.copy(project / "mlflow.db", path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    with sqlite3.connect(path) as locked:
        locked.execute("BEGIN EXCLUSIVE")
        message = refusal(capsys, run_id, "large")
        assert "is locked" in message
        assert "end the process that writes to it" in message
        locked.rollback()
    locked.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
    database.close()
    message = refusal(capsys, run_id, "large")
    assert "Another version of MLflow made it" in message
    path.write_bytes(b"no database at all" * 100)
    assert "can't be read" in refusal(capsys, run_id, "large")
