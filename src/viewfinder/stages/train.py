"""``viewfinder train …``: a Hydra application that trains one model, or a sweep of them.

DVC calls it with the composed config of an experiment, people with overrides over ``conf/``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import viewfinder
from viewfinder.config import CONFIG_NAME, check, explain, pin_weights, training_config
from viewfinder.errors import ViewfinderError
from viewfinder.process import importing
from viewfinder.stages.training_record import (
    FIGURES,
    HISTORY,
    data_paths,
    epoch_pictures,
    log_inputs,
    write_outputs,
)
from viewfinder.workspace import project_dir, root

if TYPE_CHECKING:
    from viewfinder.data.loading.datamodule import VisionDataModule
    from viewfinder.data.schema import Split


def main(arguments: Sequence[str]) -> None:
    """Run the Hydra application with the given command-line words."""
    project = project_dir()
    # For each further process of a distributed training, Lightning starts this file again.
    sys.argv = [str(Path(viewfinder.__file__).with_name("__main__.py")), *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    refused: list[ViewfinderError] = []

    def job(config: DictConfig) -> float:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            from viewfinder.training.processes import job_of_sweep

            with job_of_sweep(arguments):
                return _job(config)
        try:
            return _job(config)
        except ViewfinderError as error:
            refused.append(error)  # raised below: Hydra would print the overrides before it
            return math.nan

    application = hydra.main(
        config_path=str(project / "conf"), config_name=CONFIG_NAME, version_base="1.3"
    )(job)
    try:
        application()
    except (HydraException, OmegaConfBaseException) as error:
        overrides = [word for word in arguments if "=" in word and not word.startswith("-")]
        raise ViewfinderError(explain(error, overrides, project)) from error
    if refused:
        raise refused[0]


def _job(config: DictConfig) -> float:
    project = project_dir()
    check(config, project)
    pin_weights(config)
    if _helps():
        return _help(config)
    if HydraConfig.get().job.config_name == CONFIG_NAME:
        output = Path(HydraConfig.get().runtime.output_dir)
        title = _title(config.name, HydraConfig.get().overrides.task)
        return train(config, title=title, model=output / "model", report=output / "report")
    experiment = os.environ.get("DVC_EXP_NAME")  # by which `dvc exp show` lists it
    return train(
        config,
        title=f"{config.name} {experiment}" if experiment else config.name,
        model=project / "models" / config.name,
        report=project / "reports" / config.name,
    )


def _helps() -> bool:
    """Return whether this is a further process of a distributed training."""
    return os.environ.get("LOCAL_RANK", "0") != "0" or os.environ.get("NODE_RANK", "0") != "0"


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
    with importing():
        from viewfinder import tracking
        from viewfinder.assembly import build_task, build_trainer, build_training_options
        from viewfinder.training.fit import prepare
        from viewfinder.training.resume import resume_state

    data = _open_data(config)
    task = build_task(config, data.classes)
    settings = training_config(config)
    digests = {split: file.digest() for split, file in data.splits.items()}
    with ExitStack() as stack:
        identity = _identity(config, digests)
        state = stack.enter_context(resume_state(_states(), config.name, identity))
        # What is wrong with the config shows here, before anything is tracked.
        training = prepare(
            task,
            data,
            build_trainer(config),
            state=state.folder,
            options=build_training_options(config),
        )
        tags = tracking.lineage_tags(config=settings, data=data_paths(config))
        run = stack.enter_context(
            tracking.open_run(task=task.name, name=title, run_id=state.run_id, tags=tags)
        )
        state.remember_run(run.id)
        log_inputs(run, config, settings, data, digests)
        result = training.run(
            resume_from=state.last_checkpoint,
            logger=run.logger(),
            observers=[epoch_pictures(run, data)] if run.id else [],
        )
        description = {
            "name": config.name,
            "classes": data.classes,
            "run_id": run.id,
            "config": OmegaConf.to_container(config, resolve=True),
            "lineage": {"tags": tags, "digests": digests},
        }
        write_outputs(model, report, result, task, description)
        run.log_params({"chosen": result.chosen})
        run.log_objective(result.score, task.monitor, task.mode)
        for name in (FIGURES, HISTORY):
            run.log_artifact(report / name, "training")
        run.log_artifacts(model, "checkpoint")
    return result.score


def _help(config: DictConfig) -> float:
    """Train along with the first process, which alone tracks and writes."""
    with importing():
        from viewfinder.assembly import build_task, build_trainer, build_training_options
        from viewfinder.training.fit import fit
        from viewfinder.training.resume import ResumeState

    data = _open_data(config)
    digests = {split: file.digest() for split, file in data.splits.items()}
    identity = _identity(config, digests)
    state = ResumeState(_states() / f"{config.name}-{identity}")
    result = fit(
        build_task(config, data.classes),
        data,
        build_trainer(config),
        state=state.folder,
        resume_from=state.last_checkpoint,
        logger=None,
        options=build_training_options(config),
    )
    return result.score


def _open_data(config: DictConfig) -> VisionDataModule:
    """Seed every generator, then open the splits to train on."""
    import pytorch_lightning as pl

    from viewfinder.assembly import build_datamodule

    pl.seed_everything(config.seed, workers=True, verbose=False)
    return build_datamodule(config, ("train", "val"), project_dir())


def _states() -> Path:
    return root() / ".cache" / "viewfinder"


def _identity(config: DictConfig, digests: dict[Split, str]) -> str:
    from viewfinder.training.resume import fingerprint
    from viewfinder.weights_file import weights_file

    weights = weights_file(config.model.get("weights"))
    return fingerprint(
        training_config(config),
        digests,
        Path(viewfinder.__file__).parent,
        [weights] if weights else [],
    )
