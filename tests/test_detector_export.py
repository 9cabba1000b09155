"""Detectors as ONNX files for any batch size, with suppression, regions and masks in the graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from detectors_for_tests import CLASSES, SIDE, make_detector, scenes

from viewfinder.data.loading.dataset import Batch
from viewfinder.export.certificate import certify
from viewfinder.export.graph import export_onnx
from viewfinder.export.predictor import OnnxPredictor
from viewfinder.tasks import Detection, InstanceSegmentation, VisionTask


def make_task(name: str) -> VisionTask:
    kind = InstanceSegmentation if name == "mask_rcnn" else Detection
    detector = make_detector(name, score_threshold=1e-3)
    heads = {"retinanet": "retinanet.head", "yolo_grid": "head"}
    if name in heads:
        # Untrained, they give all boxes nearly the same score, and rounding would order them.
        for layer in detector.get_submodule(heads[name]).modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight)
    classes = [str(number) for number in range(CLASSES)]
    return kind(detector, classes, mean=[0.5] * 3, std=[0.5] * 3)


def batches() -> list[Batch]:
    """One batch of two images and one of a single image."""
    images, *targets = scenes()
    names = ("boxes", "labels", "masks")
    whole = {"image": ((images + 1) * 127.5).round().to(torch.uint8), "id": ["0", "1", "2"]}
    whole |= dict(zip(names, targets, strict=True))
    return [{name: part[cut] for name, part in whole.items()} for cut in (slice(2), slice(2, 3))]


# Faster R-CNN's graph is part of Mask R-CNN's; FCOS is exported in test_export.py.
@pytest.mark.parametrize("name", ["retinanet", "yolo_grid", "mask_rcnn"])
def test_an_exported_detector_predicts_what_the_task_predicts(name: str, tmp_path: Path) -> None:
    task, path = make_task(name), tmp_path / "model.onnx"
    export_onnx(task, path, size=(SIDE, SIDE), metadata={})
    certificate = certify(
        task, OnnxPredictor(path), batches(), tolerance=1e-3, metric_tolerance=1e-3
    )
    assert certificate.agrees, certificate.disagreement()
    assert certificate.images == 3
    assert certificate.detections
    assert ("masks" in certificate.largest_difference) == (name == "mask_rcnn")
