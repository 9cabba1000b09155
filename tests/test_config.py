"""Composed configs: what is in them, and what is refused."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from viewfinder.assembly import build_task
from viewfinder.config import (
    check,
    compose_config,
    compose_experiment,
    load_composed,
    section_overrides,
    to_yaml,
    training_config,
)
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.transforms import Transform
from viewfinder.errors import ViewfinderError
from viewfinder.tasks.schedule import Schedule

ROOT = Path(__file__).parents[1]
SIDES = {"cats_vs_dogs_cnn": 180}  # pixels, of models that 64 are too few for
EXPERIMENTS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "params.yaml").read_text())[
    "experiments"
]


def options(group: str) -> list[str]:
    found = sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
    assert found, f"conf/{group} is empty"
    return found


def option(group: str, name: str) -> DictConfig:
    config = compose_config([f"{group}={name}"], ROOT)
    OmegaConf.resolve(config)
    return config


def project_with(folder: Path, **section: Any) -> Path:
    """Make a project with one experiment, ``mine``."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "params.yaml").write_text(yaml.safe_dump({"experiments": {"mine": section}}))
    return folder


def refusal(folder: Path, **section: Any) -> str:
    """Return why an experiment over the recipe for classification is refused."""
    base = {"experiment": "classification", "dataset": "digits"}
    with pytest.raises(ViewfinderError) as caught:
        compose_experiment("mine", project_with(folder, **(base | section)))
    return str(caught.value)


def test_a_section_becomes_overrides() -> None:
    section = {
        "experiment": "segmentation",
        "model": "fpn",
        "seed": 7,
        "trainer": {"max_epochs": 8, "deterministic": True, "gradient_clip_val": None},
        "model_options": {"inner": {"name": "it's", "sizes": [1, 2.5]}},
        "training": {"phases": [{"freeze": "all but the head", "optimizer": {"lr": 0.2}}]},
        "overrides": ["+trainer.fast_dev_run=true", "~augment.flip"],
    }
    assert section_overrides(section) == [
        "+experiment=segmentation",
        "model=fpn",
        "seed=7",
        "trainer.max_epochs=8",
        "trainer.deterministic=true",
        "trainer.gradient_clip_val=null",
        r"model_options.inner.name='it\'s'",
        "model_options.inner.sizes=[1,2.5]",
        "training.phases=[{freeze:'all but the head',optimizer:{lr:0.2}}]",
        "+trainer.fast_dev_run=true",
        "~augment.flip",
    ]


def test_values_of_a_section_survive_hydras_grammar(tmp_path: Path) -> None:
    word = "a 'b' {c}, d=e: ${f"[:-3]
    project = project_with(
        tmp_path,
        experiment="classification",
        dataset="digits",
        image={"size": [24, 40], "mean": [0.1, 0.2, 0.3]},
        trainer={"precision": word, "gradient_clip_val": 0.5},
        overrides=["+trainer.max_steps=9"],
    )
    config = compose_experiment("mine", project)
    assert list(config.image.size) == [24, 40]
    assert list(config.image.mean) == [0.1, 0.2, 0.3]
    assert config.trainer.precision == word
    assert config.trainer.gradient_clip_val == 0.5
    assert config.trainer.max_steps == 9


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_of_params_composes(name: str) -> None:
    section = EXPERIMENTS[name]
    config = compose_experiment(name, ROOT)
    assert config.name == name
    assert config.task.name == section["experiment"]
    assert config.dataset.name == section["dataset"]
    for key, value in section.get("trainer", {}).items():
        assert config.trainer[key] == value


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${now:%Y}", "${hydra:job.name}"])
def test_what_differs_between_machines_is_refused(tmp_path: Path, value: str) -> None:
    project = project_with(
        tmp_path, experiment="classification", dataset="digits", overrides=[f"+note={value}"]
    )
    with pytest.raises(ViewfinderError, match=re.escape(value)):
        compose_experiment("mine", project)


@pytest.mark.parametrize("name", ["2024", "a.b", "a/b", "it's", ""])
def test_a_name_that_cannot_name_files_is_refused(name: str) -> None:
    with pytest.raises(ViewfinderError, match="Take a letter"):
        compose_experiment(name, ROOT)


def test_the_composed_file_reads_back(tmp_path: Path) -> None:
    config = compose_experiment("segmentation", ROOT)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "segmentation.yaml").write_text(to_yaml(config))
    again = load_composed("segmentation", tmp_path)
    assert again == config
    assert training_config(again)["trainer"]["max_epochs"] == config.trainer.max_epochs


def test_a_config_that_was_not_composed_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match=r"dvc repro configure@segmentation"):
        load_composed("segmentation", tmp_path)


def test_a_mistyped_experiment_is_refused_with_those_there_are() -> None:
    with pytest.raises(ViewfinderError) as caught:
        compose_experiment("segmentaton", ROOT)
    message = str(caught.value)
    assert all(name in message for name in EXPERIMENTS)
    assert "Did you mean 'segmentation'?" in message


@pytest.mark.parametrize(
    ("group", "section"),
    [
        ("model", {"model": "convnett"}),
        ("optimizer", {"optimizer": "adam"}),
        ("experiment", {"experiment": "classify"}),
    ],
)
def test_a_mistyped_option_of_a_group_is_refused_with_those_there_are(
    tmp_path: Path, group: str, section: dict[str, str]
) -> None:
    message = refusal(tmp_path, **section)
    assert section[group] in message
    assert all(name in message for name in options(group))


@pytest.mark.parametrize(
    ("section", "wrong", "right", "siblings"),
    [
        ({"trainer": {"max_epoch": 3}}, "trainer.max_epoch", "max_epochs", ("precision",)),
        ({"optimizer": {"lrr": 0.1}}, "optimizer.lrr", "lr", ("weight_decay",)),
        ({"sed": 1}, "sed", "seed", ("image", "loader")),
    ],
)
def test_a_mistyped_key_is_refused_with_those_there_are(
    tmp_path: Path, section: dict[str, Any], wrong: str, right: str, siblings: tuple[str, ...]
) -> None:
    message = refusal(tmp_path, **section)
    assert repr(wrong) in message
    assert f"Did you mean {right!r}?" in message
    assert all(name in message for name in siblings)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ({"loader": {"batch_size": 0}}, "loader.batch_size", "0"),
        ({"loader": {"batch_size": 2.5}}, "loader.batch_size", "2.5"),
        ({"loader": {"num_workers": -1}}, "loader.num_workers", "-1"),
        ({"trainer": {"max_epochs": 0}}, "trainer.max_epochs", "0"),
        ({"trainer": {"max_epochs": True}}, "trainer.max_epochs", "True"),
        ({"seed": -1}, "seed", "-1"),
        ({"image": {"size": [32]}}, "image.size", "[32]"),
        ({"image": {"size": [32, 0]}}, "image.size", "[32, 0]"),
        ({"image": {"test_size": [32]}}, "image.test_size", "[32]"),
        ({"image": {"channels": 2}}, "image.channels", "2"),
        ({"image": {"channels": 1}}, "image.mean", "[0.5, 0.5, 0.5]"),
        ({"image": {"mean": [0, 0, "x"]}}, "image.mean", "[0, 0, 'x']"),
        ({"image": {"std": [0.5, 0.5]}}, "image.std", "[0.5, 0.5]"),
        ({"image": {"std": [0.5, 0.5, 0]}}, "image.std", "[0.5, 0.5, 0]"),
    ],
)
def test_a_bad_value_is_refused_by_key_and_value(
    tmp_path: Path, section: dict[str, Any], key: str, value: str
) -> None:
    message = refusal(tmp_path, **section)
    assert f"{key} is {value}" in message
    assert "expected" in message


def test_an_experiment_cannot_change_a_shared_data_set(tmp_path: Path) -> None:
    # The section's own key `dataset` names it; what is changed in it comes as an override.
    message = refusal(tmp_path, overrides=["dataset.split.val=0.3"])
    assert "'digits'" in message
    assert "conf/dataset/digits.yaml" in message


@pytest.mark.parametrize("place", ["/elsewhere/net.pt", "net.pt", "weights/../net.pt", "~/net.pt"])
def test_an_experiment_starts_from_no_file_that_dvc_does_not_watch(
    tmp_path: Path, place: str
) -> None:
    message = refusal(tmp_path, model="timm_classifier", overrides=[f"model.weights='{place}'"])
    assert f"model.weights is {place}" in message
    assert "write weights/net.pt" in message


def test_params_without_experiments_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("datasets: [digits]\n")
    with pytest.raises(ViewfinderError, match="experiments"):
        compose_experiment("mine", tmp_path)


def test_an_experiment_without_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match="dataset"):
        compose_experiment("mine", project_with(tmp_path, experiment="classification"))


@pytest.mark.parametrize("name", options("experiment"))
def test_every_recipe_builds_its_task(name: str) -> None:
    config = compose_config([f"+experiment={name}"], ROOT)
    OmegaConf.resolve(config)
    for key, untrained in (("pretrained", False), ("weights", None)):
        if key in config.model:
            config.model[key] = untrained
    classes = ["background", "one", "two"]
    task = build_task(config, classes)
    assert config.name == name
    assert task.name == config.task.name
    assert task.classes == classes
    check(config, ROOT)
    images = torch.zeros(1, config.image.channels, *config.image.size, dtype=torch.uint8)
    with torch.no_grad():
        outputs = task.eval().predict(images)
    assert outputs
    assert all(len(value) == 1 for value in outputs.values())


@pytest.mark.parametrize("name", options("task"))
def test_every_task_option_builds(name: str) -> None:
    task = option("task", name).task.name
    config = compose_config([f"+experiment={task}", f"task={name}"], ROOT)
    assert build_task(config, ["a", "b"]).name == task


@pytest.mark.parametrize("name", options("model"))
def test_every_model_option_builds_and_runs(name: str) -> None:
    side = SIDES.get(name, 64)
    config = compose_config([f"model={name}", f"image.size=[{side},{side}]"], ROOT)
    network = instantiate(config.model, num_classes=3, _convert_="all")
    assert isinstance(network, nn.Module)
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, side, side)) is not None


@pytest.mark.parametrize("name", options("dataset"))
def test_every_dataset_option_has_callable_parts(name: str) -> None:
    config = option("dataset", name).dataset
    assert config.name == name
    for part in ("source", "reader", "split"):
        assert callable(instantiate(config[part], _convert_="all")), part


@pytest.mark.parametrize("name", options("dataset"))
def test_every_dataset_option_says_what_it_is_and_whose(name: str) -> None:
    config = option("dataset", name).dataset
    assert config.num_classes >= 1
    assert config.licence
    assert config.citation
    files = config.source.get("files", [])
    assert not files or config.homepage.startswith("http")
    comment = (ROOT / "conf" / "dataset" / f"{name}.yaml").read_text("utf-8").partition("name:")[0]
    without = "checksum" in comment and ("No " in comment or "no " in comment)
    assert without or all({"sha256", "md5"} & set(file) for file in files)


@pytest.mark.parametrize("name", options("augment"))
def test_every_augment_option_changes_images_into_images(name: str) -> None:
    config = option("augment", name)
    augmentations = list(instantiate(config.augment, _convert_="all").values())
    assert bool(augmentations) == (name != "none")
    image = torch.arange(32 * 32 * 3).reshape(32, 32, 3).to(torch.uint8).numpy()
    transform = Transform((32, 32), augmentations=augmentations)
    results = [transform(Sample(image), seed=(0, 0, index)).image for index in range(8)]
    assert all(item.shape == image.shape and item.dtype == image.dtype for item in results)
    assert any((item != image).any() for item in results) == bool(augmentations)


@pytest.mark.parametrize("name", options("optimizer"))
def test_every_optimizer_option_steps(name: str) -> None:
    config = option("optimizer", name)
    weight = nn.Parameter(torch.ones(3))
    optimizer = instantiate(config.optimizer, _convert_="all")([weight])
    weight.sum().backward()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == config.optimizer.lr
    assert (weight < 1).all()


@pytest.mark.parametrize("name", options("scheduler"))
def test_every_scheduler_option_runs_a_whole_training(name: str) -> None:
    config = option("scheduler", name)
    schedule = instantiate(config.scheduler, _convert_="all")
    assert isinstance(schedule, Schedule)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=config.optimizer.lr)
    scheduler = schedule.build(optimizer, steps=40, epochs=40)["scheduler"]
    for _ in range(39):
        optimizer.step()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(1.0)
        else:
            scheduler.step()
    rate = optimizer.param_groups[0]["lr"]
    if name == "constant":
        assert rate == config.optimizer.lr
    elif name == "inverse_time":
        assert rate == pytest.approx(config.optimizer.lr / (1 + 39 / 100))
    else:
        assert rate < config.optimizer.lr / 5


@pytest.mark.parametrize("name", options("trainer"))
def test_every_trainer_option_builds(name: str, tmp_path: Path) -> None:
    config = option("trainer", name)
    trainer = instantiate(
        config.trainer,
        _convert_="all",
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        default_root_dir=str(tmp_path),
    )
    assert trainer.max_epochs == config.trainer.max_epochs
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("overrides", [None, "a=b", {"a": "b"}, [3]])
def test_overrides_must_be_a_list_of_words(tmp_path: Path, overrides: Any) -> None:
    message = refusal(tmp_path, overrides=overrides)
    assert f"`overrides` in params.yaml is {overrides!r}" in message
    assert "list" in message


@pytest.mark.parametrize("section", ["image", "loader", "export"])
def test_a_section_that_was_emptied_is_named(tmp_path: Path, section: str) -> None:
    assert f"{section} is None" in refusal(tmp_path, overrides=[f"{section}=null"])


def test_a_group_that_was_emptied_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, overrides=["optimizer=null"])
    assert "optimizer=null" in message
    assert "an option of conf/optimizer" in message
