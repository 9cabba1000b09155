"""``viewfinder evaluate EXPERIMENT``: the test split's metrics, tables and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from viewfinder.config import load_composed
from viewfinder.workspace import project_dir

if TYPE_CHECKING:
    from viewfinder.stages.trained import Trained


def main(name: str) -> None:
    """Write ``reports/<name>/``: ``metrics.json``, ``plots/`` and ``tables/``."""
    from viewfinder import tracking
    from viewfinder.evaluation.report import write_report
    from viewfinder.stages.trained import open_trained

    project = project_dir()
    settings = load_composed(name, project).predict
    model = open_trained(project / "models" / name, project)
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
        metrics = write_report(model.task, model.data.test_dataloader(), reports)
        _draw_training(model, reports, project)
        run.log_metrics({f"test/{key}": value for key, value in metrics.items()})
        run.log_artifacts(reports / "plots", "test/plots")
        run.log_artifacts(reports / "tables", "test/tables")
    for key, value in metrics.items():
        print(f"{key:>16}  {value:.4f}")


def _draw_training(model: "Trained", reports: Path, project: Path) -> None:
    """Draw what the model was trained on, and how its training went."""
    from viewfinder.assembly import build_datamodule
    from viewfinder.evaluation.augmentations import draw_augmentations
    from viewfinder.evaluation.curves import draw_curves, read_history
    from viewfinder.outputs import new_file

    history = read_history(reports / "curves.csv")
    with new_file(reports / "plots" / "curves.png") as path:
        draw_curves(history, path, monitor=model.task.monitor, mode=model.task.mode)
    config = model.config
    data = build_datamodule(config, ("train",), project)
    with new_file(reports / "plots" / "augmentations.png") as path:
        draw_augmentations(
            path,
            data.splits["train"],
            data.transform.size,
            {"augmented for training": data.transform} if config.augment else {},
            heading=f"{config.dataset.name}: what {config.name} is trained on",
            seed=config.seed,
        )
