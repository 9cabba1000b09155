"""What the report's page says of a training."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from judged import predicted
from omegaconf import OmegaConf
from patches import make_task, patches, write_patches

from viewfinder.stages.facts import collect_facts
from viewfinder.stages.trained import Trained
from viewfinder.tasks import Classification

SGD = {"_target_": "torch.optim.SGD", "lr": 0.01}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("facts")
    data = patches(write_patches(folder, "label"), Classification)
    task = make_task(Classification)
    return task, data, predicted(task, data.test_dataloader(), folder / "predictions")


def facts(
    parts: Any,
    folder: Path,
    *,
    optimizer: dict[str, Any] = SGD,
    phases: list[dict[str, Any]] | None = None,
    **told: Any,
) -> dict[str, str]:
    task, data, predictions = parts
    config = OmegaConf.create(
        {
            "model": {"_target_": "patches.TinyNet"},
            "image": {"channels": 3},
            "loader": {"batch_size": 8},
            "optimizer": optimizer,
            "training": {"phases": phases},
        }
    )
    (folder / "train.json").write_text(json.dumps({"epochs": 3, "best_epoch": 2, **told}))
    model = Trained(task, data, config, {}, None)
    return dict(collect_facts(model, predictions, "patches", folder).model)


def test_the_page_tells_what_training_and_evaluation_started_from(
    parts: Any, tmp_path: Path
) -> None:
    task, data, predictions = parts
    trained = {
        "tags": {"mlflow.source.git.commit": "1a2b3c", "git.dirty": "true"},
        "digests": {"train": "aa", "val": "bb"},
    }
    config = OmegaConf.create(
        {
            "model": {"_target_": "patches.TinyNet"},
            "image": {"channels": 3},
            "loader": {"batch_size": 8},
            "optimizer": SGD,
        }
    )
    model = Trained(task, data, config, {}, "0f0f", trained)
    told = collect_facts(model, predictions, "patches", tmp_path).lineage
    assert told["commit of the training"] == "1a2b3c, with changes"
    assert re.match("[0-9a-f]{40}", told["commit of the evaluation"])
    assert (told["training split, SHA-256"], told["validation split, SHA-256"]) == ("aa", "bb")
    assert told["test split, SHA-256"] == predictions.info.digest
    assert told["MLflow run"] == "0f0f"


def test_the_page_tells_rate_and_batch_size_of_the_config(parts: Any, tmp_path: Path) -> None:
    told = facts(parts, tmp_path)
    assert told["optimizer"] == "SGD, rate 0.01, batches of 8"
    assert told["epochs"] == "3, the best is epoch 2"


def test_the_page_tells_what_was_chosen_before_the_training(parts: Any, tmp_path: Path) -> None:
    told = facts(parts, tmp_path, optimizer_lr=0.34, loader_batch_size=32)
    assert told["optimizer"] == "SGD, rate 0.34, batches of 32"


def test_an_optimizer_may_have_no_rate(parts: Any, tmp_path: Path) -> None:
    told = facts(parts, tmp_path, optimizer={"_target_": "torch.optim.Adadelta"})
    assert told["optimizer"] == "Adadelta, batches of 8"


def test_the_page_tells_the_optimizer_of_each_phase(parts: Any, tmp_path: Path) -> None:
    phases = [
        {"freeze": "all but the head", "epochs": 2, "optimizer": {"lr": 0.2}},
        {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001}},
    ]
    assert facts(parts, tmp_path, phases=phases)["optimizer"] == (
        "SGD, rate 0.2 (2 epochs; frozen: all but the head), then Adam, rate 0.001, batches of 8"
    )
