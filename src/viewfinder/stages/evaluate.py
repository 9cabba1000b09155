"""``viewfinder evaluate EXPERIMENT``: the test split's metrics, tables and pictures."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewfinder.config import load_composed
from viewfinder.evaluation.figures import as_values, line
from viewfinder.outputs import new_file
from viewfinder.process import importing
from viewfinder.workspace import project_dir

if TYPE_CHECKING:
    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.evaluation.predictions.file import PredictionsFile
    from viewfinder.stages.trained import Trained

_EXPLAINED = 4


def main(name: str) -> None:
    """Write ``reports/<name>/``: predictions, metrics, plots, tables and a page of all of them."""
    project = project_dir()
    settings = load_composed(name, project).predict
    with importing():
        import torch

        from viewfinder import tracking
        from viewfinder.assembly import build_datamodule
        from viewfinder.evaluation.analysis.class_frequency import training_images
        from viewfinder.evaluation.page import write_page
        from viewfinder.evaluation.report import write_report
        from viewfinder.stages.facts import collect_facts
        from viewfinder.stages.trained import open_trained

    model = open_trained(project / "models" / name, project)
    if torch.cuda.is_available():
        model.task.cuda()
    if settings.flip:
        model.task.mirror()
    with tracking.open_run(
        task=model.task.name,
        name=name,
        run_id=model.run_id,
        tags=tracking.lineage_tags(config=model.settings),
    ) as run:
        test = model.data.splits["test"]
        run.log_params({**model.settings, "predict": {"flip": settings.flip}})
        run.log_input(
            model.config.dataset.name, test.path.relative_to(project), test.digest(), "testing"
        )
        reports = project / "reports" / name
        with new_file(reports / "predictions.parquet") as path:
            predictions = _predict(model, path)
            training = build_datamodule(model.config, ("train",), project)
            counts = training_images(model.config.dataset.name, project, model.task.classes)
            images = partial(model.data.images, "test")
            figures = write_report(predictions, images, reports, training_images=counts)
        _draw_heatmaps(model, predictions, reports / "plots" / "heatmaps.png")
        _look_inside(model, reports)
        _draw_training(model, training, reports, list(figures))
        with new_file(reports / "report.html") as path:
            write_page(path, collect_facts(model, predictions, name, reports), figures, reports)
        metrics = as_values(figures)
        run.log_metrics(_flat(metrics))
        run.log_artifact(reports / "report.html", "test")
        run.log_artifacts(reports / "plots", "test/plots")
        run.log_artifacts(reports / "tables", "test/tables")
        run.log_artifact(reports / "predictions.parquet", "test")
    for key, figure in metrics.items():
        print(line(key, figure))


def _predict(model: "Trained", path: Path) -> "PredictionsFile":
    """Write the table of predictions, from which everything else is computed."""
    from viewfinder.evaluation.predictions.columns import PredictionsInfo
    from viewfinder.evaluation.predictions.file import PredictionsFile
    from viewfinder.evaluation.predictions.judging import write_predictions

    task, test = model.task, model.data.splits["test"]
    info = PredictionsInfo(
        task=task.name,
        classes=task.classes,
        dataset=model.config.dataset.name,
        digest=test.digest(),
        **task.measured_values,
    )
    groups = test.table.column("group").to_pylist()
    write_predictions(task, model.data.test_dataloader(), path, info, groups)
    return PredictionsFile(path)


def _flat(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return ``test/accuracy``, ``test/accuracy_low``, ``test/accuracy_high`` and so on."""
    ends = {"value": "", "low": "_low", "high": "_high"}
    return {
        f"test/{name}{ending}": figure[key]
        for name, figure in metrics.items()
        for key, ending in ends.items()
        if figure.get(key) is not None
    }


def _draw_heatmaps(model: "Trained", predictions: "PredictionsFile", path: Path) -> None:
    """Draw where the network looks in its worst images and in some of all."""
    import numpy as np

    from viewfinder.evaluation.selection import even_positions
    from viewfinder.explain import NothingToDrawError, subjects_of_batch, write_heatmaps

    worst = np.argsort(predictions.column("score"), kind="stable")[:_EXPLAINED].tolist()
    rows = list(dict.fromkeys([*worst, *even_positions(len(predictions), _EXPLAINED)]))
    subjects = subjects_of_batch(model.data.images("test", rows))
    try:
        with new_file(path) as draft:
            write_heatmaps(draft, model.task, subjects, name=model.config.name)
    except NothingToDrawError as reason:
        print(f"No heatmaps: {reason}")


def _look_inside(model: "Trained", reports: Path) -> None:
    """Write what the network's layers cost, and which of their channels say nothing."""
    from viewfinder.explain import subjects_of_batch
    from viewfinder.explain.summary import write_summary

    (subject,) = subjects_of_batch(model.data.images("test", [0]))
    height, width = model.config.image.size
    write_summary(
        model.task,
        subject,
        reports / "plots",
        reports / "tables",
        size=(height, width),
        batch_size=model.config.loader.batch_size,
    )


def _draw_training(
    model: "Trained", data: "VisionDataModule", reports: Path, metrics: Sequence[str]
) -> None:
    """Draw what the model was trained on, and how its training went."""
    from viewfinder.evaluation.augmentations import draw_augmentations
    from viewfinder.evaluation.curves import draw_curves, read_history

    history = read_history(reports / "curves.csv")
    with new_file(reports / "plots" / "curves.png") as path:
        task = model.task
        draw_curves(history, path, monitor=task.monitor, mode=task.mode, metrics=metrics)
    config = model.config
    with new_file(reports / "plots" / "augmentations.png") as path:
        draw_augmentations(
            path,
            data.splits["train"],
            data.transform.size,
            {"augmented for training": data.transform} if config.augment else {},
            heading=f"{config.dataset.name}: what {config.name} is trained on",
            seed=config.seed,
        )
