"""Transfer learning in phases, and rates that differ between the parts of a network."""

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from patches import TinyNet, make_task, patches, trainer, write_patches
from torch import Tensor, nn

from viewfinder.assembly import build_training_options
from viewfinder.config import compose_config
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.errors import ViewfinderError
from viewfinder.evaluation.curves import draw_curves
from viewfinder.models.fcos import FCOSDetector
from viewfinder.models.localizer import Localizer
from viewfinder.models.segmenter import smp_model
from viewfinder.tasks import Classification, VisionTask
from viewfinder.tasks.parameter_groups import ParameterGroups
from viewfinder.tasks.parts import Part, head_of
from viewfinder.tasks.schedule import Schedule
from viewfinder.training.fit import FitResult, fit
from viewfinder.training.options import TrainingOptions
from viewfinder.training.phases import Phase, freeze

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> VisionDataModule:
    return patches(write_patches(tmp_path_factory.mktemp("project"), "label"), Classification)


def sgd(rate: float) -> Any:
    return lambda groups: torch.optim.SGD(groups, lr=rate, momentum=0.9)


def train(
    task: VisionTask,
    data: VisionDataModule,
    state: Path,
    *phases: Phase,
    epochs: int,
    stop_after: int | None = None,
    **options: Any,
) -> FitResult:
    """Train, or go on from the last checkpoint in the folder."""
    last = state / "last.ckpt"
    return fit(
        task,
        data,
        trainer(stop_after or epochs),
        state=state,
        resume_from=last if last.exists() else None,
        logger=None,
        options=TrainingOptions(phases=phases or None, **options),
    )


def tensors(task: VisionTask, part: str) -> dict[str, Tensor]:
    """Return copies of a part's parameters and statistics."""
    return {
        name: value.clone()
        for name, value in task.model.state_dict().items()
        if name.startswith(part)
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_frozen_weights_and_statistics_stay_bit_for_bit(
    data: VisionDataModule, tmp_path: Path
) -> None:
    task = make_task(Classification)
    before = tensors(task, "backbone"), tensors(task, "head")
    assert any("running_mean" in name for name in before[0])
    result = train(task, data, tmp_path, Phase(sgd(0.1), freeze="all but the head"), epochs=2)
    assert same(before[0], tensors(task, "backbone"))
    assert same(before[0], {k.removeprefix("model."): v for k, v in result.weights.items()})
    assert not same(before[1], tensors(task, "head"))


def test_the_second_phase_learns_what_the_first_froze(
    data: VisionDataModule, tmp_path: Path
) -> None:
    task = make_task(Classification)
    before = tensors(task, "backbone")
    schedule = Schedule(
        lambda optimizer, total: torch.optim.lr_scheduler.LinearLR(
            optimizer, 1.0, 0.5, total_iters=total
        ),
        "step",
        length_argument="total",
    )
    phases = (
        Phase(sgd(0.2), schedule, freeze="backbone", epochs=1),
        Phase(sgd(0.01), schedule),
    )
    result = train(task, data, tmp_path, *phases, epochs=3)
    after = tensors(task, "backbone")
    learnt = {name for name in before if name.endswith(("weight", "running_mean", "running_var"))}
    assert not any(torch.equal(before[name], after[name]) for name in learnt)
    rows = result.history
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["phase"] for row in rows] == [1, 2, 2]
    # Each phase's schedule lasts as long as its phase.
    assert [row["lr"] for row in rows] == pytest.approx([0.1, 0.0075, 0.005])


def test_early_stopping_counts_in_the_last_phase_only(
    data: VisionDataModule, tmp_path: Path
) -> None:
    phases = (Phase(sgd(0.0), freeze="backbone", epochs=4), Phase(sgd(0.0), freeze="backbone"))
    result = train(make_task(Classification), data, tmp_path, *phases, epochs=9, early_stopping=2)
    assert [row["phase"] for row in result.history] == [1, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_training_that_was_cut_off_ends_the_same(
    data: VisionDataModule, tmp_path: Path, cut: int
) -> None:
    """Within the first phase, between the two, and within the second."""
    phases = (Phase(sgd(0.1), freeze="backbone", epochs=2), Phase(sgd(0.02)))
    whole = train(make_task(Classification), data, tmp_path / "whole", *phases, epochs=4)
    train(make_task(Classification), data, tmp_path / "cut", *phases, epochs=4, stop_after=cut)
    resumed = train(make_task(Classification), data, tmp_path / "cut", *phases, epochs=4)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert same(whole.weights, resumed.weights)


@pytest.mark.parametrize(
    ("network", "head"),
    [
        (timm.create_model("test_resnet"), ["fc"]),
        (timm.create_model("test_vit"), ["head"]),
        (Localizer(3, backbone="test_resnet"), ["box_head", "class_head"]),
        (FCOSDetector(3, backbone="test_resnet", channels=32), ["fcos.head"]),
        (
            smp_model(3, architecture="fpn", encoder="tu-test_resnet"),
            ["segmentation_head"],
        ),
        (TinyNet(3), ["head"]),
    ],
)
def test_the_head_of_a_network_is_found(network: nn.Module, head: list[str]) -> None:
    assert head_of(network) == head
    learning = copy.deepcopy(network)
    frozen = freeze(learning, "all but the head")
    assert frozen
    assert {name for name, parameter in learning.named_parameters() if parameter.requires_grad} == {
        name for name, _ in network.named_parameters() if name.startswith(tuple(head))
    }
    assert not {type(layer) for layer in frozen} & {type(network)}


def test_patterns_name_parts() -> None:
    network = timm.create_model("test_resnet")
    part = Part(network, ["model.layer1.*", "conv1"])
    chosen = {name.split(".")[0] for name, _ in network.named_parameters() if part.holds(name)}
    assert chosen == {"layer1", "conv1"} & {n.split(".")[0] for n, _ in network.named_modules()}


def test_a_part_that_is_not_there_is_refused_with_those_there_are(
    data: VisionDataModule, tmp_path: Path
) -> None:
    with pytest.raises(ViewfinderError) as caught:
        train(make_task(Classification), data, tmp_path, Phase(sgd(1), freeze="blocks.*"), epochs=1)
    message = str(caught.value)
    assert "'blocks.*'" in message
    assert "backbone.0" in message
    assert "head.2" in message
    with pytest.raises(ViewfinderError, match=r"freezes the whole network"):
        train(make_task(Classification), data, tmp_path, Phase(sgd(1), freeze="*"), epochs=1)
    with pytest.raises(ViewfinderError, match="no layer that is known for a head"):
        head_of(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([Phase(sgd(1), epochs=2)], r"last 2 epochs, but trainer\.max_epochs is 3"),
        ([Phase(sgd(1)), Phase(sgd(1))], "names no epochs, though another follows"),
    ],
)
def test_phases_that_do_not_fit_the_training_are_refused(
    data: VisionDataModule, tmp_path: Path, phases: list[Phase], message: str
) -> None:
    with pytest.raises(ViewfinderError, match=message):
        train(make_task(Classification), data, tmp_path, *phases, epochs=3)


def test_parts_learn_at_their_share_of_the_rate() -> None:
    network = TinyNet(4)
    groups = ParameterGroups({"backbone.0": 0.01, "backbone": 0.1})(network)
    assert [group["lr_scale"] for group in groups] == [0.01, 0.1, 1.0]
    assert [len(group["params"]) for group in groups] == [2, 6, 2]


def test_each_layer_learns_slower_than_the_one_behind_it() -> None:
    network = timm.create_model("test_vit")
    groups = ParameterGroups(layer_decay=0.5)(network)
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    named = {name: scales[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(named) == len(list(network.parameters()))
    assert named["head.weight"] == 1.0
    assert named["patch_embed.proj.weight"] < named["blocks.0.attn.qkv.weight"] < 1.0
    assert named["blocks.0.attn.qkv.weight"] == named["blocks.1.attn.qkv.weight"] / 2


def test_rates_and_schedules_go_together(data: VisionDataModule, tmp_path: Path) -> None:
    config = compose_config(["scheduler=one_cycle"], ROOT)
    schedule = (
        build_training_options(compose_config(["training.phases=[{freeze: null}]"], ROOT))
        .phases[0]
        .schedule
    )  # type: ignore[index]
    assert isinstance(schedule, Schedule)
    assert config.scheduler.rates_argument == "max_lr"
    seen: list[list[float]] = []

    class Watched(Classification):
        def on_train_batch_end(self, *arguments: Any) -> None:
            groups = self.trainer.optimizers[0].param_groups
            seen.append([group["lr"] for group in groups])

    task = make_task(Watched, optimizer=sgd(0.1), schedule=schedule)
    train(task, data, tmp_path, epochs=2, rates={"backbone": 0.1})
    assert all(low == pytest.approx(high / 10) for low, high in seen)
    assert max(high for _, high in seen) == pytest.approx(0.1, rel=0.1)


def test_curves_say_where_a_phase_begins(tmp_path: Path) -> None:
    def drawn(*phases: int) -> bytes:
        rows = [
            {"epoch": epoch, "phase": phase, "train/loss": 1.0, "val/loss": 1.0}
            for epoch, phase in enumerate(phases)
        ]
        draw_curves(rows, tmp_path / "curves.png", monitor="val/loss", mode="min")
        return (tmp_path / "curves.png").read_bytes()

    assert drawn(1, 1, 2) != drawn(1, 2, 2)


def test_phases_are_read_from_the_config() -> None:
    config = compose_config(
        [
            "optimizer=sgd",
            "training.phases=[{freeze: all but the head, epochs: 5, optimizer: {lr: 0.2, "
            "nesterov: false}, scheduler: null}, {optimizer: {_target_: torch.optim.NAdam, "
            "_partial_: true, lr: 0.01}}]",
        ],
        ROOT,
    )
    first, second = build_training_options(config).phases or []
    assert (first.freeze, first.epochs, first.schedule) == ("all but the head", 5, None)
    weight = [nn.Parameter(torch.ones(1))]
    group = first.optimizer(weight).param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.2, 0.9, False)
    assert isinstance(second.optimizer(weight), torch.optim.NAdam)
    assert second.schedule is not None
    assert (second.freeze, second.epochs) == ([], None) or second.freeze == ()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.phases=[{frozen: fc}]", r"key 'frozen'; a phase has freeze, epochs"),
        ("training.phases=[{epochs: 0}]", r"epochs 0; expected a whole number"),
        ("training.ema_decay=1", r"training\.ema_decay is 1; expected"),
        ("training.early_stopping=0.5", r"training\.early_stopping is 0\.5; expected"),
        ("training.rates={fc: 0}", r"training\.rates\.fc is 0; expected"),
        ("+training.emma=1", r"emma"),
    ],
)
def test_a_wrong_option_is_refused(override: str, message: str) -> None:
    with pytest.raises(ViewfinderError, match=message):
        build_training_options(compose_config([override], ROOT))
