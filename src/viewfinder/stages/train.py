"""``viewfinder train …``: a Hydra application that trains one model, or a sweep of them.

DVC calls it with the composed config of an experiment, people with overrides over ``conf/``.
"""

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from viewfinder.config import CONFIG_NAME, check, explain, training_config
from viewfinder.errors import ViewfinderError
from viewfinder.outputs import new_file, new_folder
from viewfinder.workspace import project_dir, root


def main(arguments: Sequence[str]) -> None:
    """Run the Hydra application with the given command-line words."""
    project = project_dir()
    sys.argv = ["viewfinder train", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    application = hydra.main(
        config_path=str(project / "conf"), config_name=CONFIG_NAME, version_base="1.3"
    )(_job)
    try:
        application()
    except (HydraException, OmegaConfBaseException) as error:
        overrides = [word for word in arguments if "=" in word and not word.startswith("-")]
        raise ViewfinderError(explain(error, overrides, project)) from error


def _job(config: DictConfig) -> float:
    project = project_dir()
    check(config, project)
    if HydraConfig.get().job.config_name == CONFIG_NAME:
        output = Path(HydraConfig.get().runtime.output_dir)
        title = _title(config.name, HydraConfig.get().overrides.task)
        return train(config, title=title, model=output / "model", report=output / "report")
    return train(
        config,
        title=config.name,
        model=project / "models" / config.name,
        report=project / "reports" / config.name,
    )


def _title(name: str, overrides: Sequence[str]) -> str:
    """Return the experiment's name with what was changed in it, which tells runs apart."""
    changes = [word for word in overrides if not word.startswith(("+experiment=", "name="))]
    return " ".join([name, *changes])


def train(config: DictConfig, *, title: str, model: Path, report: Path) -> float:
    """Train one model and keep the weights of its best epoch.

    Args:
        config: The composed config of one experiment.
        title: Name of the tracking run.
        model: Folder for the weights and what is needed to use them.
        report: Folder for the training's figures.

    Returns:
        The best value of the task's monitored metric on the validation split.
    """
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from viewfinder import tracking
    from viewfinder.assembly import build_datamodule, build_task, task_class
    from viewfinder.data.schema import report_path
    from viewfinder.evaluation.augmentations import draw_augmentations
    from viewfinder.evaluation.curves import draw_curves
    from viewfinder.training.fit import describe, fit
    from viewfinder.training.model_folder import write_model
    from viewfinder.training.resume import fingerprint, resume_state

    project = project_dir()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    data = build_datamodule(config, ("train", "val"), project)
    settings = training_config(config)
    digests = {split: file.digest() for split, file in data.splits.items()}
    code = Path(__file__).parents[1]
    cache = root() / ".cache" / "viewfinder"
    task_name = task_class(config).name
    with (
        resume_state(cache, config.name, fingerprint(settings, digests, code)) as state,
        tracking.open_run(
            task=task_name,
            name=title,
            run_id=state.run_id,
            tags=tracking.lineage_tags(config=settings, data=_data_paths(config)),
        ) as run,
    ):
        state.remember_run(run.id)
        run.log_params(settings)
        run.log_text(OmegaConf.to_yaml(config, resolve=True), "config.yaml")
        for split, file in data.splits.items():
            run.log_input(
                config.dataset.name, file.path.relative_to(project), digests[split], split
            )
        page = project / report_path(config.dataset.name)
        if page.is_file():
            run.log_artifact(page, "data")
        with new_file(report / "augmentations.png") as path:
            draw_augmentations(
                path,
                data.splits["train"],
                data.transform.size,
                {"augmented for training": data.transform} if config.augment else {},
                heading=f"{config.dataset.name}: what {config.name} is trained on",
                seed=config.seed,
            )
        task = build_task(config, data.classes)
        result = fit(
            task,
            data,
            instantiate(config.trainer, _partial_=True, _convert_="all"),
            state=state.folder,
            resume_from=state.last_checkpoint,
            logger=run.logger(),
        )
        description = {
            "name": config.name,
            "classes": data.classes,
            "run_id": run.id,
            "config": OmegaConf.to_container(config, resolve=True),
        }
        with new_folder(model) as folder:
            write_model(folder, result.weights, description)
        with new_file(report / "train.json") as path:
            path.write_text(json.dumps(describe(result, task), indent=2) + "\n")
        with new_file(report / "curves.csv") as path:
            _write_rows(path, result.history)
        with new_file(report / "curves.png") as path:
            draw_curves(result.history, path, monitor=task.monitor, mode=task.mode)
        run.log_objective(result.score, task.monitor, task.mode)
        run.log_artifacts(report, "training")
        run.log_artifacts(model, "checkpoint")
    return result.score


def _data_paths(config: DictConfig) -> dict[str, str]:
    from viewfinder.data.schema import raw_path, split_path

    name = config.dataset.name
    splits = {split: str(split_path(name, split)) for split in ("train", "val")}
    return {"archive": str(raw_path(name)), **splits}


def _write_rows(path: Path, rows: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, fieldnames=list(dict.fromkeys(k for row in rows for k in row))
        )
        writer.writeheader()
        writer.writerows(rows)
