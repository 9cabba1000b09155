"""What a training does besides learning: each option does what it says, and is off by default."""

import copy
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from patches import NORMALISATION, SIDE, TinyNet, make_task, patches, trainer, write_patches
from torch import Tensor, nn

from viewfinder.data.loading.balanced import BalancedSampler
from viewfinder.data.loading.class_counts import class_counts, image_classes
from viewfinder.data.loading.datamodule import VisionDataModule
from viewfinder.data.loading.rank_share import RankShare
from viewfinder.data.loading.sampler import EpochSampler
from viewfinder.data.loading.split_file import SplitFile
from viewfinder.data.schema import SplitInfo, split_schema
from viewfinder.data.shards import ShardWriter
from viewfinder.errors import ViewfinderError
from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.models.localizer import Localizer
from viewfinder.tasks import (
    Classification,
    Detection,
    Localization,
    MultilabelClassification,
    SemanticSegmentation,
    VisionTask,
)
from viewfinder.tasks.classification import ClassificationMetrics
from viewfinder.tasks.schedule import Schedule, inverse_time, warm_up_cosine
from viewfinder.training.fit import FitResult, fit
from viewfinder.training.mixing import Mixing
from viewfinder.training.options import TrainingOptions
from viewfinder.training.tuning import tune


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> VisionDataModule:
    return patches(write_patches(tmp_path_factory.mktemp("project"), "label"), Classification)


def train(
    task: VisionTask, data: VisionDataModule, state: Path, epochs: int = 2, **given: Any
) -> FitResult:
    """Train with options of ``conf/training`` or, under ``trainer``, of ``conf/trainer``."""
    last = state / "last.ckpt"
    return fit(
        task,
        data,
        trainer(epochs, **given.pop("trainer", {})),
        state=state,
        resume_from=last if last.exists() else None,
        logger=None,
        options=TrainingOptions(**given),
    )


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


class Recorder(Classification):
    """Keeps the weights after each step, and those that validation saw."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.steps.append(copy.deepcopy(self.model.state_dict()))

    def validation_step(self, batch: Any, batch_index: int) -> None:
        if batch_index == 0:
            self.validated.append(copy.deepcopy(self.model.state_dict()))
        super().validation_step(batch, batch_index)


def test_the_moving_average_is_validated_and_kept(data: VisionDataModule, tmp_path: Path) -> None:
    task = make_task(Recorder)
    assert isinstance(task, Recorder)
    result = train(task, data, tmp_path, epochs=1, ema_decay=0.9)
    name = "head.2.weight"
    steps = [weights[name] for weights in task.steps]
    average = steps[0]
    for count, weights in enumerate(steps[1:], 1):
        decay = min(0.9, (1 + count) / (10 + count))
        average = decay * average + (1 - decay) * weights
    torch.testing.assert_close(task.validated[0][name], average)
    torch.testing.assert_close(result.weights[f"model.{name}"], average)
    assert not torch.allclose(average, steps[-1])


def test_averaged_weights_have_the_thresholds_that_were_found_for_them(tmp_path: Path) -> None:
    made = patches(write_patches(tmp_path, "labels"), MultilabelClassification)
    result = train(make_task(MultilabelClassification), made, tmp_path / "s", ema_decay=0.5)
    restored = make_task(MultilabelClassification)
    restored.load_state_dict(result.weights)
    metrics = restored.new_metrics()
    for batch in made.val_dataloader():
        metrics.update(restored.predict(batch["image"]), batch)
    expected = result.history[result.best_epoch - 1]
    assert metrics.compute()["macro_f1"] == pytest.approx(expected["val/macro_f1"], abs=1e-5)


@pytest.mark.parametrize("options", [{"ema_decay": 0.9}, {"mixup": 0.4, "cutmix": 1.0}])
def test_options_resume_exactly(
    data: VisionDataModule, tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = train(make_task(Classification), data, tmp_path / "whole", 3, **options)
    train(make_task(Classification), data, tmp_path / "cut", 1, **options)
    resumed = train(make_task(Classification), data, tmp_path / "cut", 3, **options)
    assert resumed.history == whole.history
    assert same(whole.weights, resumed.weights)


def test_early_stopping_waits_for_its_patience(data: VisionDataModule, tmp_path: Path) -> None:
    still = make_task(Classification, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.0))
    still.model.requires_grad_(True)
    for layer in still.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0
    result = train(still, data, tmp_path, epochs=9, early_stopping=2)
    assert len(result.history) == 3


def test_mixing_blends_images_and_labels_alike(data: VisionDataModule) -> None:
    batch = next(iter(data.train_dataloader()))
    images, labels = batch["image"].clone(), batch["label"].clone()
    torch.manual_seed(0)
    mixing = Mixing(make_task(Classification), mixup=0.5, cutmix=None)
    mixing.on_train_batch_start(None, None, batch, 0)  # type: ignore[arg-type]
    hot = nn.functional.one_hot(labels, 4).float()
    partner, before = hot.roll(1, 0), images.float().roll(1, 0)
    different = (hot != partner).any(dim=1)
    share = float(batch["label"][different][0].max())
    for own in (share, 1 - share):
        if torch.allclose(batch["label"], own * hot + (1 - own) * partner, atol=1e-5):
            torch.testing.assert_close(
                batch["image"], own * images.float() + (1 - own) * before, atol=0.01, rtol=0
            )
            break
    else:
        pytest.fail("labels are not blended with those of the image before")
    assert 0 < share < 1


def test_mixing_refuses_targets_that_it_cannot_blend(
    data: VisionDataModule, tmp_path: Path
) -> None:
    with pytest.raises(ViewfinderError, match=r"training\.mixup .* task 'segmentation'"):
        Mixing(
            make_task(SemanticSegmentation, losses={"cross_entropy": 1.0}), mixup=1.0, cutmix=None
        )
    assert train(make_task(Classification), data, tmp_path, cutmix=1.0).history


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_lower_precision_trains_to_another_result(
    data: VisionDataModule, tmp_path: Path, precision: str
) -> None:
    results = [
        train(make_task(Classification), data, tmp_path / kind, 3, trainer={"precision": kind})
        for kind in ("32-true", precision)
    ]
    full, lower = (result.weights["model.backbone.0.weight"] for result in results)
    assert lower.dtype == torch.float32
    assert not torch.equal(full, lower)
    torch.testing.assert_close(full, lower, atol=0.1, rtol=0.1)


def test_lower_precision_ends_with_the_network(tmp_path: Path) -> None:
    made = patches(write_patches(tmp_path, "mask"), SemanticSegmentation)
    losses = {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 1.0, "focal": 1.0}
    segmentation = make_task(SemanticSegmentation, losses=losses)
    segmentation.model = nn.Conv2d(3, 4, 3, padding=1)
    lower = {"precision": "bf16-mixed"}
    assert train(segmentation, made, tmp_path / "state", 1, trainer=lower).history
    localization = make_task(Localization, losses={"cross_entropy": 1.0})
    localization.model = Localizer(4, backbone="test_byobnet")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = localization.outputs(torch.zeros(2, 3, 32, 32))
    assert isinstance(outputs, RawLocalization)
    assert outputs.logits.dtype == outputs.boxes.dtype == torch.float32


def test_accumulated_gradients_step_less_often(data: VisionDataModule, tmp_path: Path) -> None:
    lengths = []

    def watched(optimizer: Any, total: int) -> Any:
        lengths.append(total)
        return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0, total)

    task = make_task(Recorder, schedule=Schedule(watched, "step", length_argument="total"))
    assert isinstance(task, Recorder)
    train(task, data, tmp_path, 1, trainer={"accumulate_grad_batches": 3})
    weights = [step["head.2.weight"] for step in task.steps]
    stepped = [not torch.equal(before, after) for before, after in pairwise(weights)]
    assert lengths[-1] == 2
    assert stepped == [False, True, False, False, True]


def test_clipped_gradients_move_less(data: VisionDataModule, tmp_path: Path) -> None:
    moved = []
    for clip in (None, 1e-4):
        task = make_task(Classification, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0))
        before = task.model.state_dict()["head.2.weight"].clone()
        options = {"gradient_clip_val": clip, "limit_train_batches": 1}
        train(task, data, tmp_path / str(clip), 1, trainer=options)
        moved.append(float((task.model.state_dict()["head.2.weight"] - before).norm()))
    assert moved[1] <= 1e-4 < moved[0]


def test_a_fused_optimizer_takes_clipped_gradients_of_lower_precision(
    data: VisionDataModule, tmp_path: Path
) -> None:
    kinds = []

    class Watched(Classification):
        def on_train_start(self) -> None:
            (group,) = self.trainer.optimizers[0].param_groups
            kinds.append((group["fused"], group["lr"]))

    config = OmegaConf.load(Path(__file__).parents[1] / "conf" / "optimizer" / "adamw.yaml")
    adamw = instantiate(config)
    for options in ({"precision": "bf16-mixed", "gradient_clip_val": 1.0}, {}):
        task = make_task(Watched, optimizer=adamw)
        train(task, data, tmp_path / str(len(options)), 1, trainer=options)
    assert kinds == [(False, config.lr), (True, config.lr)]


def test_a_compiled_network_learns_the_same(data: VisionDataModule, tmp_path: Path) -> None:
    compiled: list[str] = []

    class Watched(Classification):
        def on_train_start(self) -> None:
            compiled.append(type(self.model._compiled_call_impl).__name__)

    torch._dynamo.reset()
    torch._dynamo.config.suppress_errors = False
    task = make_task(Watched)
    task.model.compile = lambda: nn.Module.compile(task.model, backend="eager")  # type: ignore[method-assign]
    result = train(task, data, tmp_path / "compiled", 1, compile=True)
    plain = train(make_task(Classification), data, tmp_path / "plain", 1)
    assert compiled == ["function"]
    assert result.weights.keys() == plain.weights.keys()
    assert result.history[0]["val/loss"] == pytest.approx(plain.history[0]["val/loss"], rel=1e-4)


def test_a_missing_compiler_is_named_with_what_to_do(
    data: VisionDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    torch._dynamo.reset()
    wanted = r"no-such-compiler.*Install a C\+\+ compiler.*training\.compile=false"
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ViewfinderError, match=wanted),
    ):
        train(make_task(Classification), data, tmp_path / "compiled", 1, compile=True)


def test_what_a_compiler_says_is_told(
    data: VisionDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *--version*|*-dumpversion*) echo "g++ 12.2.0"; exit 0;; esac\n'
        'echo "main.cpp:3:10: fatal error: Python.h: No such file" >&2; exit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    torch._dynamo.reset()
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, str(compiler))}),
        pytest.raises(ViewfinderError, match=r"Python\.h: No such file") as caught,
    ):
        train(make_task(Classification), data, tmp_path / "compiled", 1, compile=True)
    assert "Install" not in str(caught.value)


def test_the_learning_rate_is_found_and_kept(
    data: VisionDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = []

    class Watched(Classification):
        def on_train_start(self) -> None:
            rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def optimizer(groups: Any, lr: float = 123.0) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=lr)

    before = make_task(Watched).model.state_dict()
    task = make_task(Watched, optimizer=optimizer)
    # No epoch has seven batches: the finder must not wait for as many.
    options = {"accumulate_grad_batches": 7}
    result = train(task, data, tmp_path, 1, find_lr=True, trainer=options)
    assert same(before, make_task(Watched).model.state_dict())
    found = result.chosen["optimizer.lr"]
    assert 1e-6 < found < 1
    assert f"Chosen: optimizer.lr={found:.3g}" in capsys.readouterr().err
    # A resumed training takes the same rate without looking for it again.
    again = train(make_task(Watched, optimizer=optimizer), data, tmp_path, 2, find_lr=True)
    assert again.chosen == result.chosen
    assert "Chosen" not in capsys.readouterr().err
    assert rates[-1] == found
    assert len(again.history) == 2


def test_only_the_first_process_tells_what_was_found(
    data: VisionDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def optimizer(groups: Any, lr: float = 123.0) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=lr)

    options = TrainingOptions(find_lr=True)
    task = make_task(Classification, optimizer=optimizer)
    found = tune(task, data, trainer(1), options, tmp_path, first=False)
    assert found["optimizer.lr"] > 0
    assert "Chosen" not in capsys.readouterr().err
    assert not (tmp_path / "tuned.json").exists()


def test_the_batch_size_is_found(tmp_path: Path) -> None:
    made = patches(write_patches(tmp_path, "label"), Classification)
    result = train(make_task(Classification), made, tmp_path / "state", 1, find_batch_size=True)
    assert result.chosen == {"loader.batch_size": made.batch_size}
    assert made.batch_size in {32, 48}


def test_rare_classes_are_drawn_as_often_as_common_ones(tmp_path: Path) -> None:
    folder = write_patches(tmp_path, "label", chances=[0.7, 0.2, 0.1, 0.0])
    made = patches(folder, Classification, balanced=True)
    counts = class_counts(made.splits["train"])
    sampler = BalancedSampler(image_classes(made.splits["train"]), seed=1)
    labels = [classes[0] for classes in image_classes(made.splits["train"])]
    drawn = torch.zeros(4)
    for epoch in range(60):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert keys == list(sampler)
        assert {number for number, _ in keys} == {epoch}
        for _, index in keys:
            drawn[labels[index]] += 1
    assert counts[0] > 3 * counts[2] > 0
    assert (drawn / drawn.sum())[:3].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert isinstance(made.train_dataloader().sampler, BalancedSampler)
    assert isinstance(made.val_dataloader().sampler, EpochSampler)


def test_class_weights_make_up_for_rare_classes(tmp_path: Path) -> None:
    made = patches(write_patches(tmp_path, "label", chances=[0.7, 0.2, 0.1, 0.0]), Classification)
    task = make_task(Classification, class_weights="balanced")
    task.learn_from(made.splits["train"])
    counts = torch.from_numpy(class_counts(made.splits["train"]))
    totals = (task.weights * counts)[counts > 0]
    assert totals.tolist() == pytest.approx([48 / 3] * 3)
    plain = make_task(Classification)
    batch = {"label": torch.tensor([0, 2])}
    logits = torch.tensor([[2.0, 0, 0, 0], [0.0, 0, 1, 0]])
    expected = nn.functional.cross_entropy(logits, batch["label"], weight=task.weights)
    assert float(task.losses(logits, batch)["cross_entropy"]) == pytest.approx(float(expected))
    assert float(plain.losses(logits, batch)["cross_entropy"]) != pytest.approx(float(expected))


def test_rare_pixels_weigh_more(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    mask = np.full((8, 8), 255, np.uint8)
    mask[:, :5], mask[0, 5], mask[1:3, 5] = 0, 1, 2
    encoded = {"path": "a.png", "bytes": cv2.imencode(".png", mask)[1].tobytes()}
    row = {"id": "a", "image": encoded, "width": 8, "height": 8, "group": None, "mask": encoded}
    schema = split_schema(["mask"], SplitInfo("scenes", "train", ["a", "b", "c", "d"], {}))
    with ShardWriter(folder / "train", schema) as shards:
        shards.write(row, 1000)
    task = make_task(SemanticSegmentation, losses={"cross_entropy": 1.0}, class_weights="balanced")
    task.learn_from(SplitFile(folder / "train"))
    assert task.weights.tolist() == pytest.approx([2 / 40, 2.0, 1.0, 1.0])
    logits = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    target = torch.from_numpy(mask)[None].long()
    expected = nn.functional.cross_entropy(logits, target, task.weights, ignore_index=255)
    torch.testing.assert_close(task.losses(logits, {"mask": target})["cross_entropy"], expected)


def test_two_classes_have_binary_metrics() -> None:
    metrics = ClassificationMetrics(2)
    second = torch.tensor([0.9, 0.6, 0.4, 0.2])
    probabilities = torch.stack([1 - second, second], dim=1)
    metrics.update({"probabilities": probabilities}, {"label": torch.tensor([1, 0, 1, 0])})
    assert metrics.compute() == pytest.approx(
        {
            "accuracy": 0.5,
            "macro_f1": 0.5,
            "f1": 0.5,
            "average_precision": (1 + 2 / 3) / 2,
            "roc_auc": 0.75,
        }
    )
    three = ClassificationMetrics(3)
    three.update({"probabilities": torch.eye(3)}, {"label": torch.arange(3)})
    assert set(three.compute()) == {"accuracy", "macro_f1"}


def test_metrics_that_are_not_defined_are_left_out() -> None:
    metrics = ClassificationMetrics(2)
    batch = {"label": torch.zeros(3, dtype=torch.int64)}
    metrics.update({"probabilities": torch.tensor([[0.9, 0.1]] * 3)}, batch)
    values = metrics.compute()
    assert values["accuracy"] == 1.0
    assert all(math.isfinite(value) for value in values.values())


class Leftmost(nn.Module):
    """Finds the brightest column: a class, a mask and a box that depend on left and right."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Any:
        columns = images.mean(dim=(1, 2)) * self.scale
        if self.kind == "segmentation":
            weight = torch.linspace(0, 1, images.shape[-1])
            return torch.stack([images.mean(1), images.mean(1) * weight], dim=1)
        logits = torch.stack([columns[:, :8].sum(1), columns[:, 8:].sum(1)], dim=1)
        if self.kind == "localization":
            centre = columns.softmax(dim=1) @ torch.linspace(0, 0.8, columns.shape[1])
            return RawLocalization(logits, torch.stack([centre, centre, centre, centre], 1))
        return logits


@pytest.mark.parametrize("kind", [Classification, Localization, SemanticSegmentation])
def test_mirrored_predictions_do_not_depend_on_left_and_right(kind: type[VisionTask]) -> None:
    given = {} if kind is Classification else {"losses": {"cross_entropy": 1.0}}
    task = kind(Leftmost(kind.name), ["left", "right"], **NORMALISATION, **given).eval()
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    alone = task.predict(images)
    task.mirror()
    both, mirrored = task.predict(images), task.predict(images.flip(-1))
    if kind is SemanticSegmentation:
        mirrored = {name: value.flip(-1) for name, value in mirrored.items()}
    if "boxes" in mirrored:
        left, top, right, bottom = mirrored["boxes"].unbind(1)
        mirrored["boxes"] = torch.stack([SIDE - right, top, SIDE - left, bottom], 1)
    for name, value in both.items():
        torch.testing.assert_close(value, mirrored[name], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(value, alone[name], atol=1e-4)


def test_tasks_without_a_mean_refuse_to_mirror() -> None:
    with pytest.raises(ViewfinderError, match=r"predict\.flip .* task 'detection'"):
        Detection(TinyNet(2), ["a", "b"], **NORMALISATION).mirror()


def rates(schedule: Any, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=2.0)
    scheduler = schedule(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_the_rate_falls_with_inverse_time() -> None:
    found = rates(lambda optimizer: inverse_time(optimizer, half_life=4), 9)
    assert found[::4] == pytest.approx([2.0, 1.0, 2 / 3])


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    found = rates(lambda o: warm_up_cosine(o, total_steps=100, warm_up=0.1), 101)
    assert found[:3] == pytest.approx([2 / 11, 4 / 11, 6 / 11])
    assert found[10] == max(found) == 2.0
    assert found[55] == pytest.approx(1.0)
    assert found[100] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("every", [1, 2])
def test_a_plateau_lowers_the_rate_by_the_monitored_metric(
    data: VisionDataModule, tmp_path: Path, every: int
) -> None:
    seen = []

    def factory(optimizer: Any, mode: str) -> Any:
        seen.append(mode)
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.1, patience=0, threshold=9.0
        )

    task = make_task(
        Classification,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1),
        schedule=Schedule(factory, mode_argument="mode"),
    )
    validations = {"check_val_every_n_epoch": every}
    result = train(task, data, tmp_path, 4 * every, trainer=validations)
    assert set(seen) == {"max"}
    found = [row["lr"] for row in result.history]
    assert found[:every] == [0.1] * every
    assert found[-1] <= 0.1 * found[every]
    assert len(set(found)) <= 4  # no change without a validation


def test_processes_share_the_samples_in_turns() -> None:
    whole = EpochSampler(11, seed=4, shuffle=True)
    shares = [RankShare(EpochSampler(11, 4, shuffle=True), rank, 2, even=True) for rank in (0, 1)]
    for sampler in (whole, *shares):
        sampler.set_epoch(3)
    keys = list(whole)
    assert [list(part) for part in shares] == [keys[0:10:2], keys[1:10:2]]
    assert [len(part) for part in shares] == [5, 5]
    order = EpochSampler(11, 4, shuffle=False)
    parts = [list(RankShare(order, rank, 2, even=False)) for rank in (0, 1)]
    assert sorted(parts[0] + parts[1]) == list(order)
