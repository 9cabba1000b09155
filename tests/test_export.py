"""Exported files against the tasks they were made from, in the real ONNX Runtime."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou, masks_to_boxes

from viewfinder.data.loading.dataset import Batch, collate
from viewfinder.data.loading.views import BACKGROUND
from viewfinder.data.sources.digit_scenes import Scene, SceneStyle, draw_scene
from viewfinder.data.sources.digits import CLASSES
from viewfinder.errors import ViewfinderError
from viewfinder.export.certificate import Certificate, certify
from viewfinder.export.differences import Differences
from viewfinder.export.graph import export_onnx
from viewfinder.export.predictor import OnnxPredictor
from viewfinder.models.fcos import FCOSDetector
from viewfinder.models.layers import LayerNetwork
from viewfinder.models.localizer import Localizer
from viewfinder.models.segmenter import smp_model
from viewfinder.tasks import (
    Classification,
    Detection,
    Localization,
    SemanticSegmentation,
    VisionTask,
)

SIZE = (64, 64)
TASKS = ("classification", "localization", "detection", "segmentation")
TOLERANCE = 1e-3
METRIC_TOLERANCE = 1e-3
IOU_THRESHOLD = 0.6


def make_classification(**statistics: Any) -> Classification:
    layers = [{"conv": 8, "activation": "relu"}, {"max_pool": 2}, {"conv": 16}, "flatten"]
    network = LayerNetwork(
        len(CLASSES),
        layers=[*layers, {"dense": "classes"}],
        image_size=SIZE,
        in_channels=len(statistics["mean"]),
    )
    return Classification(network, CLASSES, **statistics)


def make_localization(**statistics: Any) -> Localization:
    network = Localizer(len(CLASSES), backbone="test_byobnet", hidden=16)
    return Localization(network, CLASSES, losses={"cross_entropy": 1.0}, **statistics)


def make_detection(**statistics: Any) -> Detection:
    network = FCOSDetector(
        len(CLASSES),
        backbone="test_byobnet",
        channels=32,
        head_layers=1,
        score_threshold=0.7,
        iou_threshold=IOU_THRESHOLD,
        candidates=300,
    )
    # An untrained detector finds nothing: raise and spread its scores, and make boxes overlap.
    logits = network.fcos.head.classification_head.cls_logits
    torch.nn.init.normal_(logits.weight, std=0.4)
    torch.nn.init.constant_(logits.bias, -1.0)
    torch.nn.init.constant_(network.fcos.head.regression_head.bbox_reg.bias, 2.0)
    return Detection(network, CLASSES, **statistics)


def make_segmentation(**statistics: Any) -> SemanticSegmentation:
    classes = [BACKGROUND, *CLASSES]
    network = smp_model(len(classes), architecture="fpn", encoder="tu-test_byobnet")
    return SemanticSegmentation(network, classes, losses={"dice": 1.0}, **statistics)


MAKERS: dict[str, Callable[..., VisionTask]] = {
    "classification": make_classification,
    "localization": make_localization,
    "detection": make_detection,
    "segmentation": make_segmentation,
}


def make_task(name: str) -> VisionTask:
    torch.manual_seed(1)
    return MAKERS[name](mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3])


def make_item(scene: Scene, index: int, task: str) -> dict[str, Any]:
    masks = torch.from_numpy(scene.masks)
    boxes = masks_to_boxes(masks).float()
    labels = torch.tensor(scene.labels)
    mask = torch.zeros(SIZE, dtype=torch.int64)
    for label, pixels in zip(scene.labels, masks, strict=True):
        mask[pixels] = label + 1
    image = torch.from_numpy(np.ascontiguousarray(scene.image[..., ::-1])).permute(2, 0, 1)
    targets: dict[str, dict[str, Tensor]] = {
        "classification": {"label": labels[0]},
        "localization": {"label": labels[0], "box": boxes[0]},
        "detection": {"labels": labels, "boxes": boxes},
        "segmentation": {"mask": mask},
    }
    return {"id": str(index), "image": image, **targets[task]}


def make_batch(task: str, start: int, count: int) -> Batch:
    digits = (2, 3) if task == "detection" else (1, 1)
    style = SceneStyle(size=SIZE[0], digits=digits)
    indices = range(start, start + count)
    return collate(
        [make_item(draw_scene(0, "test", index, style), index, task) for index in indices]
    )


def make_loader(task: str) -> list[Batch]:
    """Two full batches and a partial one."""
    return [make_batch(task, 0, 4), make_batch(task, 4, 4), make_batch(task, 8, 1)]


Exported = tuple[VisionTask, Path]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Export the task of a name, once."""

    @cache
    def export(name: str) -> Exported:
        task = make_task(name)
        path = tmp_path_factory.mktemp(name) / "model.onnx"
        metadata = {"run_id": "a1", "n": [1, 2]}
        export_onnx(task, path, size=SIZE, interpolation="area", metadata=metadata)
        return task, path

    return export


@pytest.fixture(scope="module", params=TASKS)
def exported(request: pytest.FixtureRequest, exports: Callable[[str], Exported]) -> Exported:
    """A task of each kind with its file."""
    return exports(request.param)


@pytest.fixture(scope="module")
def classifier(exports: Callable[[str], Exported]) -> Exported:
    """A classifier with its file."""
    return exports("classification")


def compare(task: VisionTask, path: Path) -> Certificate:
    return certify(
        task,
        OnnxPredictor(path),
        make_loader(task.name),
        tolerance=TOLERANCE,
        metric_tolerance=METRIC_TOLERANCE,
    )


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_batch_size_predicts_what_the_task_predicts(exported: Exported, count: int) -> None:
    task, path = exported
    images = make_batch(task.name, 20, count)["image"]
    expected, found = task.predict(images), OnnxPredictor(path).predict(images)
    assert list(found) == list(expected)
    if task.name == "detection":
        kept = expected["scores"] > 0
        assert kept.any()
        assert not kept.all()
        torch.testing.assert_close(found["scores"], expected["scores"], atol=1e-5, rtol=0)
        expected = {name: tensor[kept] for name, tensor in expected.items()}
        found = {name: tensor[kept] for name, tensor in found.items()}
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, atol=1e-3, rtol=1e-4)


def test_predictions_depend_on_the_image(exported: Exported) -> None:
    task, path = exported
    predictions = OnnxPredictor(path).predict(make_batch(task.name, 0, 2)["image"])
    first = next(iter(predictions.values()))
    assert not torch.allclose(first[0], first[1], atol=1e-4)


def test_detections_are_suppressed_in_the_graph(exports: Callable[[str], Exported]) -> None:
    task, path = exports("detection")
    task = copy.deepcopy(task)
    images = make_batch("detection", 0, 3)["image"]
    found = OnnxPredictor(path).predict(images)

    def overlaps(predictions: dict[str, Tensor], image: int) -> Tensor:
        kept = predictions["scores"][image] > 0
        boxes, labels = predictions["boxes"][image][kept], predictions["labels"][image][kept]
        same = labels[:, None] == labels[None]
        # Boxes cut off at the image's border have no area, thus no overlap.
        return (box_iou(boxes, boxes).nan_to_num(0.0) * same).triu(diagonal=1)

    detector = task.model
    assert isinstance(detector, FCOSDetector)
    detector.iou_threshold = 1.0
    unsuppressed = task.predict(images)
    for image in range(len(images)):
        assert overlaps(unsuppressed, image).max() > IOU_THRESHOLD
        assert overlaps(found, image).max() <= IOU_THRESHOLD + 1e-4


def test_the_file_says_what_it_is(exported: Exported) -> None:
    task, path = exported
    predictor = OnnxPredictor(path)
    assert predictor.task == task.name
    assert predictor.classes == task.classes
    assert predictor.preprocessing == {
        "layout": "NCHW",
        "color": "RGB",
        "dtype": "uint8",
        "height": SIZE[0],
        "width": SIZE[1],
        "interpolation": "area",
        "normalisation": "in graph",
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
    }
    assert (predictor.metadata["run_id"], predictor.metadata["n"]) == ("a1", [1, 2])
    found = {name: predictor.metadata.get(name) for name in ("temperature", "thresholds")}
    assert {name: value for name, value in found.items() if value} == task.measured_values
    assert predictor.thresholds == found["thresholds"]


def test_what_validation_found_is_in_the_file(tmp_path: Path) -> None:
    classifier, images = make_task("classification"), make_batch("classification", 0, 2)["image"]
    unscaled = classifier.predict(images)["probabilities"]
    classifier.temperature.fill_(2.5)
    export_onnx(classifier, tmp_path / "scaled.onnx", size=SIZE, metadata={})
    found = OnnxPredictor(tmp_path / "scaled.onnx").predict(images)["probabilities"]
    expected = (unscaled.log() / 2.5).softmax(dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(found, unscaled, atol=1e-3)


def test_the_predictor_tells_detections_from_the_threshold_of_their_class(tmp_path: Path) -> None:
    task, images = make_task("detection"), make_batch("detection", 0, 3)["image"]
    scores = task.predict(images)["scores"]
    shown = scores[scores > 0]
    limits = torch.where(torch.arange(10) % 2 == 0, shown.median(), shown.quantile(0.9))
    task.thresholds.copy_(limits)
    export_onnx(task, tmp_path / "model.onnx", size=SIZE, metadata={})
    predictor = OnnxPredictor(tmp_path / "model.onnx")
    every, told = predictor.predict(images), predictor.told(images)
    assert every["scores"].count_nonzero() == scores.count_nonzero()
    likely = every["scores"] >= limits[every["labels"]]
    assert torch.equal(told["scores"], every["scores"] * likely)
    assert 0 < told["scores"].count_nonzero() < scores.count_nonzero()
    assert torch.equal(told["boxes"], every["boxes"])


def test_the_file_is_valid_whole_and_free_of_local_paths(exported: Exported) -> None:
    _, path = exported
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert model.graph.input[0].name == "images"
    assert shape[0].dim_param
    assert [side.dim_value for side in shape[1:]] == [3, *SIZE]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    content = path.read_bytes()
    assert str(Path(__file__).parents[1]).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_export_says_nothing_and_leaves_the_task_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = make_task("classification").train()
    export_onnx(task, tmp_path / "new" / "model.onnx", size=SIZE, metadata={})
    assert tuple(capfd.readouterr()) == ("", "")
    assert task.training
    assert task.model.training
    assert logging.root.manager.disable == logging.NOTSET


def test_the_same_task_gives_the_same_bytes(classifier: Exported, tmp_path: Path) -> None:
    task, path = classifier
    metadata = {"run_id": "a1", "n": [1, 2]}
    export_onnx(task, tmp_path / "again.onnx", size=SIZE, interpolation="area", metadata=metadata)
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_certificate_of_a_faithful_export(exported: Exported) -> None:
    task, path = exported
    certificate = compare(task, path)
    assert certificate.agrees, certificate.disagreement()
    assert certificate.disagreement() is None
    written = json.loads(json.dumps(certificate.to_dict()))
    assert written["agrees"] is True
    assert written["images"] == 9
    outputs = set(task.predict(make_batch(task.name, 0, 1)["image"])) - {"labels"}
    assert set(written["largest_difference"]) == outputs
    assert set(written["latency_ms"]["pytorch"]) == set(written["latency_ms"]["onnx"]) == {"1", "4"}
    assert all(time > 0 for side in written["latency_ms"].values() for time in side.values())
    assert written["metrics"]["pytorch"].keys() == written["metrics"]["onnx"].keys()
    assert written["metrics"]["pytorch"]
    assert written["versions"].keys() == {"torch", "onnx", "onnxruntime", "onnxscript"}
    assert written["threads"] == torch.get_num_threads()
    if task.name == "detection":
        assert written["detections"] > 20
        assert written["unmatched"] == 0


def test_changed_weights_are_found_out(exported: Exported) -> None:
    task, path = exported
    changed = copy.deepcopy(task)
    with torch.no_grad():
        for parameter in changed.model.parameters():
            parameter.mul_(1.1)
    certificate = compare(changed, path)
    assert not certificate.agrees
    assert certificate.to_dict()["agrees"] is False
    message = certificate.disagreement()
    assert message is not None
    named = "have no counterpart" if task.name == "detection" else "'probabilities' differs by"
    assert named in message
    assert f"{TOLERANCE:g}" in message


def test_outputs_that_are_not_numbers_are_found_out(classifier: Exported) -> None:
    task, path = classifier
    broken = copy.deepcopy(task)
    torch.nn.init.constant_(next(broken.model.parameters()), torch.nan)
    message = compare(broken, path).disagreement()
    assert message is not None
    assert "'probabilities' differs by nan" in message


def test_a_metric_out_of_tolerance_is_named(classifier: Exported) -> None:
    certificate = compare(*classifier)
    metrics = copy.deepcopy(certificate.metrics)
    metrics["onnx"]["accuracy"] += 2 * METRIC_TOLERANCE
    message = replace(certificate, metrics=metrics).disagreement()
    assert message is not None
    assert "the metric 'accuracy' is" in message
    del metrics["onnx"]["accuracy"]
    assert not replace(certificate, metrics=metrics).agrees


def detections(*rows: tuple[list[float], float, int], padded: int = 4) -> dict[str, Tensor]:
    rows = (*rows, *[([0.0] * 4, 0.0, 0)] * (padded - len(rows)))
    boxes, scores, labels = zip(*rows, strict=True)
    return {
        "boxes": torch.tensor(boxes)[None],
        "scores": torch.tensor(scores)[None],
        "labels": torch.tensor(labels)[None],
    }


LEFT = [0.0, 0.0, 20.0, 20.0]
RIGHT = [60.0, 10.0, 90.0, 40.0]


def test_detections_in_another_order_are_the_same() -> None:
    differences = Differences(reach=0.01)
    expected = detections((LEFT, 0.9, 1), (RIGHT, 0.9, 2), (LEFT, 0.8, 3))
    found = detections((RIGHT, 0.9, 2), (LEFT, 0.9, 1), (LEFT, 0.8, 3))
    differences.update(expected, found, (100, 100))
    assert differences.largest == {"boxes": 0.0, "scores": 0.0}
    assert (differences.detections, differences.unmatched) == (6, 0)


def test_boxes_differ_as_shares_of_the_image_sides() -> None:
    differences = Differences(reach=0.01)
    moved = [0.0, 0.0, 20.0, 20.5]
    differences.update(detections((LEFT, 0.9, 1)), detections((moved, 0.8, 1)), (50, 100))
    assert differences.largest == pytest.approx({"boxes": 0.01, "scores": 0.1}, abs=1e-6)


@pytest.mark.parametrize(
    "other",
    [(RIGHT, 0.8, 2), (LEFT, 0.8, 1)],
    ids=["other place", "other class"],
)
def test_detections_without_a_counterpart_are_counted(
    other: tuple[list[float], float, int],
) -> None:
    differences = Differences(reach=0.01)
    expected = detections((RIGHT, 0.9, 1), (LEFT, 0.8, 2))
    differences.update(expected, detections((RIGHT, 0.9, 1), other), (100, 100))
    assert (differences.detections, differences.unmatched) == (4, 2)
    differences.update(expected, detections((RIGHT, 0.9, 1)), (100, 100))
    assert (differences.detections, differences.unmatched) == (7, 3)


def test_a_few_borderline_detections_are_tolerated(classifier: Exported) -> None:
    certificate = replace(compare(*classifier), detections=10_000)
    assert replace(certificate, unmatched=10).agrees
    message = replace(certificate, unmatched=11).disagreement()
    assert message is not None
    assert "11 of 10000 detections" in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ViewfinderError, match=r"no ONNX file .*absent\.onnx"):
        OnnxPredictor(tmp_path / "absent.onnx")


def test_a_damaged_file_is_refused(classifier: Exported, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    content = classifier[1].read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ViewfinderError, match=r"half\.onnx can't be opened"):
        OnnxPredictor(path)


def foreign_file(path: Path, entries: dict[str, str]) -> Path:
    images = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "foreign", [images], [result])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.helper.set_model_props(model, entries)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "entries", [{}, {"task": "x", "classes": "not JSON", "preprocessing": "{}"}]
)
def test_a_foreign_file_is_refused(tmp_path: Path, entries: dict[str, str]) -> None:
    with pytest.raises(ViewfinderError, match="viewfinder didn't export"):
        OnnxPredictor(foreign_file(tmp_path / "foreign.onnx", entries))


def test_a_network_for_grey_images_takes_grey_images(tmp_path: Path) -> None:
    task = make_classification(mean=[0.5], std=[0.5])
    path = tmp_path / "grey.onnx"
    export_onnx(task, path, size=SIZE, metadata={})
    predictor = OnnxPredictor(path)
    images = make_batch("classification", 0, 3)["image"]
    grey = images[:, :1].contiguous()
    found = predictor.predict(grey)["probabilities"]
    torch.testing.assert_close(found, task.predict(grey)["probabilities"], atol=1e-4, rtol=1e-3)
    with pytest.raises(ViewfinderError, match=r"takes grey images, uint8 \[N, 1, 64, 64\]"):
        predictor.predict(images)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 64, dtype=torch.uint8),
        torch.zeros(2, 1, *SIZE, dtype=torch.uint8),
        torch.zeros(3, *SIZE, dtype=torch.uint8),
        torch.zeros(0, 3, *SIZE, dtype=torch.uint8),
        torch.zeros(2, 3, *SIZE),
    ],
    ids=["size", "channels", "no batch", "empty", "float"],
)
def test_unfit_images_are_refused(classifier: Exported, images: Tensor) -> None:
    with pytest.raises(ViewfinderError, match=r"takes RGB images, uint8 \[N, 3, 64, 64\]"):
        OnnxPredictor(classifier[1]).predict(images)


def test_a_certificate_needs_the_right_file_and_images(classifier: Exported) -> None:
    task, path = classifier
    run = partial(certify, tolerance=TOLERANCE, metric_tolerance=METRIC_TOLERANCE)
    with pytest.raises(ViewfinderError, match="no images"):
        run(task, OnnxPredictor(path), [])
    with pytest.raises(ViewfinderError, match="holds a classification model"):
        run(make_task("localization"), OnnxPredictor(path), make_loader("localization"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"opset": 5}, "opset 5"),
        ({"opset": 99}, "opset 99"),
        ({"size": (40, 40)}, "40x40 pixels"),
    ],
    ids=["old opset", "unknown opset", "size"],
)
def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    task = make_task("classification")
    with pytest.raises(ViewfinderError, match=reason) as caught:
        export_onnx(task, tmp_path / "model.onnx", **{"size": SIZE, "metadata": {}, **options})
    assert "\x1b" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "model.onnx"
    with pytest.raises(ViewfinderError, match="can't be written"):
        export_onnx(make_task("classification"), path, size=SIZE, metadata={})


def test_own_metadata_cannot_be_replaced(tmp_path: Path) -> None:
    task = make_task("classification")
    with pytest.raises(ValueError, match="classes"):
        export_onnx(task, tmp_path / "model.onnx", size=SIZE, metadata={"classes": []})
