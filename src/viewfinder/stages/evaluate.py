"""``viewfinder evaluate EXPERIMENT``: the test split's metrics, tables and pictures."""

from viewfinder.config import load_composed
from viewfinder.workspace import project_dir


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
        reports = project / "reports" / name
        metrics = write_report(model.task, model.data.test_dataloader(), reports)
        run.log_metrics({f"test/{key}": value for key, value in metrics.items()})
        run.log_artifacts(reports / "plots", "test/plots")
        run.log_artifacts(reports / "tables", "test/tables")
    for key, value in metrics.items():
        print(f"{key:>16}  {value:.4f}")
