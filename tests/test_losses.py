"""Losses as weighted sums, through the tasks that offer them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.errors import ViewfinderError
from viewfinder.models.localizer import Localization as RawLocalization
from viewfinder.tasks import SemanticSegmentation, VisionTask

PROJECT = Path(__file__).parents[1]
CLASSES = ["background", "disc", "bar"]


def _segmentation(**losses: float) -> VisionTask:
    return SemanticSegmentation(
        nn.Identity(), CLASSES, mean=[0.5] * 3, std=[0.5] * 3, losses=losses
    )


def _masks() -> Tensor:
    mask = torch.zeros(2, 16, 16, dtype=torch.int64)
    mask[:, 4:9, 4:9] = 1
    mask[1, 11:14] = 2
    return mask


def _logits(mask: Tensor, confidence: float) -> Tensor:
    return F.one_hot(mask.clamp(max=2), 3).movedim(-1, 1).float() * confidence


@pytest.mark.parametrize("term", ["cross_entropy", "dice", "lovasz", "focal"])
def test_each_segmentation_loss_prefers_the_right_mask(term: str) -> None:
    task, mask = _segmentation(**{term: 1.0}), _masks()
    right = task.losses(_logits(mask, 8.0), {"mask": mask})[term]
    unsure = task.losses(_logits(mask, 0.5), {"mask": mask})[term]
    wrong = task.losses(_logits(mask.roll(5, dims=1), 8.0), {"mask": mask})[term]
    assert right < unsure < wrong


@pytest.mark.parametrize("term", ["cross_entropy", "dice", "lovasz", "focal"])
def test_pixels_that_do_not_count_have_no_gradient(term: str) -> None:
    mask = _masks()
    mask[:, :8] = 255
    logits = _logits(mask, 1.0).requires_grad_()
    _segmentation(**{term: 1.0}).losses(logits, {"mask": mask})[term].backward()
    assert logits.grad is not None
    assert logits.grad[:, :, :8].abs().max() == 0
    assert logits.grad[:, :, 8:].abs().max() > 0


def test_a_loss_is_the_weighted_sum_of_its_terms() -> None:
    mask = _masks()
    logits = _logits(mask, 0.5)
    alone = {
        name: _segmentation(**{name: 1.0}).losses(logits, {"mask": mask})[name]
        for name in ("cross_entropy", "lovasz")
    }
    both = _segmentation(cross_entropy=0.5, dice=0.0, lovasz=2.0).losses(logits, {"mask": mask})
    assert list(both) == ["cross_entropy", "lovasz"]
    assert both["cross_entropy"] == pytest.approx(0.5 * alone["cross_entropy"].item())
    assert both["lovasz"] == pytest.approx(2.0 * alone["lovasz"].item())


def _localization(*overrides: str) -> VisionTask:
    config = compose_config(["+experiment=localization", *overrides], PROJECT)
    return build_task(config, ["cat", "dog"])


def test_the_lectures_localization_weighs_class_and_box() -> None:
    task = _localization("task=localization_lecture")
    outputs = RawLocalization(
        torch.tensor([[2.0, -1.0], [0.0, 1.0]]),
        torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.3, 0.6, 0.2, 0.2]]),
    )
    batch = {
        "image": torch.zeros(2, 3, 50, 100, dtype=torch.uint8),
        "label": torch.tensor([0, 0]),
        "box": torch.tensor([[20.0, 20.0, 80.0, 30.0], [20.0, 25.0, 40.0, 35.0]]),
    }
    losses = task.losses(outputs, batch)
    shares = torch.tensor([[0.5, 0.5, 0.6, 0.2], [0.3, 0.6, 0.2, 0.2]])
    assert set(losses) == {"cross_entropy", "mse"}
    entropy = F.cross_entropy(outputs.logits, batch["label"])
    assert losses["cross_entropy"] == pytest.approx(0.8 * entropy.item())
    assert losses["mse"] == pytest.approx(0.2 * ((outputs.boxes - shares) ** 2).mean().item())


@pytest.mark.parametrize("term", ["l1", "mse", "giou", "diou", "ciou"])
def test_each_box_loss_is_smallest_where_the_box_fits(term: str) -> None:
    zeros = [f"task.losses.{name}=0" for name in ("cross_entropy", "l1", "giou")]
    task = _localization(*zeros, f"task.losses.{term}=1")
    batch = {
        "image": torch.zeros(1, 3, 100, 100, dtype=torch.uint8),
        "label": torch.tensor([0]),
        "box": torch.tensor([[30.0, 30.0, 70.0, 70.0]]),
    }
    values = [
        task.losses(RawLocalization(torch.zeros(1, 2), torch.tensor([box])), batch)[term].item()
        for box in ([0.5, 0.5, 0.4, 0.4], [0.55, 0.5, 0.4, 0.3], [0.8, 0.8, 0.2, 0.2])
    ]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"dise": 1.0}, "names dise; segmentation has cross_entropy, dice, lovasz, focal"),
        ({"dice": 0.0}, "leaves every term of segmentation out"),
        ({"dice": -1.0}, "dice: -1.0; a weight is 0"),
    ],
)
def test_weights_that_make_no_loss_are_refused(losses: dict[str, float], message: str) -> None:
    with pytest.raises(ViewfinderError, match=message):
        _segmentation(**losses)
