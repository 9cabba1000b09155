"""`viewfinder predict`: what is printed and drawn, and what is refused."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from sklearn.datasets import load_sample_image

from viewfinder.assembly import build_task
from viewfinder.config import compose_config
from viewfinder.data.loading.decode import decode_image
from viewfinder.data.loading.sample import Sample
from viewfinder.data.loading.transforms import Transform
from viewfinder.errors import ViewfinderError
from viewfinder.stages.predict import main
from viewfinder.tasks import VisionTask
from viewfinder.training.model_folder import write_model

ROOT = Path(__file__).parents[1]
CLASSES = ["background", "cat", "dog", "bird"]
SIDE = 64  # pixels


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo of twice the height and three times the width of a network's input."""
    photo = load_sample_image("flower.jpg")[: 2 * SIDE, : 3 * SIDE]
    path = tmp_path / "pictures" / "flower.png"
    path.parent.mkdir()
    Image.fromarray(photo).save(path)
    return path


def trained(recipe: str, folder: Path, *overrides: str) -> VisionTask:
    """Write a model's folder, with the weights that it starts from."""
    torch.manual_seed(1)
    config = compose_config([f"+experiment={recipe}", *overrides], ROOT)
    OmegaConf.resolve(config)
    task = build_task(config, CLASSES)
    folder.mkdir()
    description = {"classes": CLASSES, "run_id": None, "config": OmegaConf.to_container(config)}
    write_model(folder, task.state_dict(), description)
    return task


def as_seen(picture: Path) -> torch.Tensor:
    """Return the picture as a loader gives it, which decodes it at half its scale."""
    pixels = decode_image(picture.read_bytes(), picture.name, 2)
    image = Transform((SIDE, SIDE))(Sample(pixels)).image
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_imagenet_classes_are_printed_with_percentages(
    picture: Path, capsys: pytest.CaptureFixture
) -> None:
    main([str(picture)], top=3)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == str(picture)
    assert len(lines) == 3
    shares = [float(re.fullmatch(r" +(\d+\.\d\d) %  \S.*", line).group(1)) for line in lines]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 100


def test_a_classifier_prints_its_classes(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "model"
    options = (f"image.size=[{SIDE},{SIDE}]", "image.interpolation=linear")
    task = trained("classification", folder, *options)
    main([str(picture)], experiment=str(folder), top=9, output=str(tmp_path / "out"))
    _, *lines = capsys.readouterr().out.splitlines()
    shares = task.predict(as_seen(picture))["probabilities"][0]
    expected = [
        f"  {100 * shares[label]:6.2f} %  {CLASSES[label]}"
        for label in shares.argsort(descending=True)
    ]
    assert lines == expected
    assert Image.open(tmp_path / "out" / "flower_predicted.png").width > 100


def test_a_box_is_in_the_pictures_own_pixels(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    task = trained("localization", tmp_path / "model")
    main([str(picture)], experiment=str(tmp_path / "model"), top=1)
    _, _, line = capsys.readouterr().out.splitlines()
    found = [int(side) for side in re.search(r"box \[(.*)\]", line).group(1).split(",")]
    box = task.predict(as_seen(picture))["boxes"][0] * torch.tensor([3, 2, 3, 2])
    assert found == pytest.approx(box.tolist(), abs=0.51)


def test_a_mask_is_written_at_the_pictures_own_size(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    task = trained("segmentation", tmp_path / "model", f"image.size=[{SIDE},{SIDE}]")
    main([str(picture)], experiment=str(tmp_path / "model"), output=str(tmp_path / "out"))
    mask = np.asarray(Image.open(tmp_path / "out" / "flower_mask.png"))
    small = task.predict(as_seen(picture))["probabilities"][0].argmax(dim=0).numpy()
    assert np.array_equal(mask, small.repeat(2, axis=0).repeat(3, axis=1))
    assert len(np.unique(mask)) > 1
    said = capsys.readouterr().out
    for label in np.unique(mask):
        share = f"{100 * (mask == label).mean():.2f} %  {CLASSES[label]} of the area"
        assert (share in said) == (CLASSES[label] != "background")
    assert Image.open(tmp_path / "out" / "flower_predicted.png").width > 2 * 3 * SIDE


def test_a_detector_without_detections_says_so(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    trained("detection", tmp_path / "model", f"image.size=[{SIDE},{SIDE}]")
    main([str(picture)], experiment=str(tmp_path / "model"), output=str(tmp_path / "out"))
    assert "nothing with a score of 50% or more" in capsys.readouterr().out
    assert (tmp_path / "out" / "flower_predicted.png").is_file()


def test_detections_are_told_from_their_threshold_on(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = (f"image.size=[{SIDE},{SIDE}]", "model.score_threshold=0")
    task = trained("detection", tmp_path / "model", *options)
    found = task.predict(as_seen(picture))
    scores, labels = found["scores"][0], found["labels"][0]
    limits = torch.full((4,), float(scores.median()))
    limits[labels[0]] = scores[0] + 1e-4
    thresholds = {"thresholds": limits}
    torch.save(task.state_dict() | thresholds, tmp_path / "model" / "weights.pt")
    for given, told in ((None, scores >= limits[labels]), (float(scores[5]), scores >= scores[5])):
        main([str(picture)], experiment=str(tmp_path / "model"), threshold=given)
        _, *lines = capsys.readouterr().out.splitlines()
        assert len(lines) == int(told.sum())
        assert all("box [" in line for line in lines)
    main([str(picture)], experiment=str(tmp_path / "model"), threshold=0.99)
    assert "nothing with a score of 99% or more" in capsys.readouterr().out
    torch.save(task.state_dict() | {"thresholds": limits + 0.9}, tmp_path / "model" / "weights.pt")
    main([str(picture)], experiment=str(tmp_path / "model"))
    assert "nothing reaches its class's threshold" in capsys.readouterr().out


def test_several_classes_are_marked_from_their_threshold_on(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = (f"image.size=[{SIDE},{SIDE}]", "dataset=digit_scenes")
    task = trained("multilabel", tmp_path / "model", *options)
    shares = task.predict(as_seen(picture))["probabilities"][0]
    last = int(shares.argmin())
    thresholds = torch.ones(len(CLASSES))
    thresholds[last] = shares[last] - 1e-4
    state = task.state_dict() | {"thresholds": thresholds}
    torch.save(state, tmp_path / "model" / "weights.pt")
    main([str(picture)], experiment=str(tmp_path / "model"), top=1)
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(CLASSES[int(shares.argmax())])
    assert second.endswith(f"{CLASSES[last]}  ✓")
    main([str(picture)], experiment=str(tmp_path / "model"), top=1, threshold=0)
    assert capsys.readouterr().out.count("✓") == len(CLASSES)


def test_a_model_from_before_there_were_temperatures_predicts_as_then(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    said = []
    task = trained("classification", tmp_path / "model")
    for state in (task.state_dict(), {**task.state_dict(), "temperature": torch.tensor(3.0)}):
        torch.save(state, tmp_path / "model" / "weights.pt")
        main([str(picture)], experiment=str(tmp_path / "model"))
        said.append(capsys.readouterr().out)
    older = {name: value for name, value in task.state_dict().items() if name != "temperature"}
    torch.save(older, tmp_path / "model" / "weights.pt")
    main([str(picture)], experiment=str(tmp_path / "model"))
    assert capsys.readouterr().out == said[0] != said[1]


def test_a_grey_network_takes_a_photo(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    trained("mnist_cnn", tmp_path / "model")
    main([str(picture)], experiment=str(tmp_path / "model"))
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(CLASSES)


def test_a_trained_model_needs_no_pretrained_weights(picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "start.pt"
    options = ("model=timm_classifier", "model.name=test_resnet")
    trained("classification", tmp_path / "first", *options)
    (tmp_path / "first" / "weights.pt").rename(path)
    trained("classification", tmp_path / "model", *options, f"model.weights={path}")
    path.unlink()
    main([str(picture)], experiment=str(tmp_path / "model"))


@pytest.mark.parametrize("experiment", [None, "model"])
def test_an_unreadable_picture_is_named(experiment: str | None, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no picture")
    if experiment:
        experiment = str(tmp_path / experiment)
        trained("classification", Path(experiment))
    with pytest.raises(ViewfinderError, match=rf"The picture {path} .*can't be read"):
        main([str(path)], experiment=experiment)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"experiment": "clasification"}, ["'clasification'", "dvc repro train@clasification"]),
        ({"model": "resnet51"}, ["timm has no model 'resnet51'", "resnet50"]),
        ({"model": "resnet18", "weights": "package"}, ["tf_efficientnet_lite0", "'resnet18'"]),
        ({"model": "resnet18", "weights": "gone.pt"}, ["There is no file of weights gone.pt"]),
        ({"experiment": "digits", "weights": "hub"}, ["leave out --model and --weights"]),
        ({"top": 0}, ["--top is 0"]),
        ({"experiment": "digits", "threshold": 30.0}, ["--threshold is 30", "0 to 1"]),
        ({"threshold": 0.5}, ["--threshold needs --experiment"]),
    ],
)
def test_a_wrong_request_is_refused(
    options: dict[str, object], parts: list[str], picture: Path
) -> None:
    with pytest.raises(ViewfinderError) as caught:
        main([str(picture)], **options)
    for part in parts:
        assert part in str(caught.value)


def test_a_threshold_for_one_class_an_image_is_refused(picture: Path, tmp_path: Path) -> None:
    trained("classification", tmp_path / "model")
    with pytest.raises(ViewfinderError, match=r"--threshold serves .* 'classification' tells one"):
        main([str(picture)], experiment=str(tmp_path / "model"), threshold=0.5)


def test_a_folder_stands_for_its_pictures(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained("classification", tmp_path / "model")
    folder = tmp_path / "seen"
    (folder / "more").mkdir(parents=True)
    for name in ("b.JPG", "a.jpg", "more/c.jpg"):
        shutil.copy(picture, folder / name)
    (folder / "notes.txt").write_text("no picture")
    capsys.readouterr()
    main([str(folder)], experiment=str(tmp_path / "model"))
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert said == [str(folder / "a.jpg"), str(folder / "b.JPG")]
    for path in folder.glob("*.[jJ]*"):
        path.unlink()
    with pytest.raises(ViewfinderError, match=r"seen holds no picture: of its 1 files none ends"):
        main([str(folder)])


def test_missing_pictures_and_equal_names_are_refused(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match="There is no picture"):
        main([str(tmp_path / "gone.jpg")])
    trained("classification", tmp_path / "model")
    with pytest.raises(ViewfinderError, match="Several pictures are called 'flower'"):
        pictures = [str(picture), str(picture)]
        main(pictures, experiment=str(tmp_path / "model"), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_hub_out_of_reach_is_one_message_with_the_other_ways(
    picture: Path, tmp_path: Path
) -> None:
    # Offline, since the hub's client tries an address that refuses it for a minute.
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-m", "viewfinder", "predict", str(picture), "--model", "resnet18"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **hub},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    error = done.stderr[done.stderr.index("error: ") :]
    for part in ("'resnet18'", "Hugging Face hub", "PATH", "HF_HOME", "package", "null"):
        assert part in error
