"""Class activation maps: which parts of an image speak for a class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM, HiResCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional as F

from viewfinder.explain.choice import choose_layer
from viewfinder.explain.options import Cam
from viewfinder.explain.recording import evaluating
from viewfinder.explain.targets import ClassScores, Target, find_target
from viewfinder.tasks import Detection, InstanceSegmentation, VisionTask

Heat = NDArray[np.float32]

_MOST_CHANNELS = 64
_BATCH = 16
_FLAT = 0.05


class Contrasted(BaseCAM):
    """A map that is empty where nothing stands out, instead of its noise on a scale from 0 to 1."""

    def get_cam_image(self, *args: Any, **options: Any) -> NDArray[np.float32]:
        """Return evidence, at least 0, float32 [1, h, w]: 0 where it is alike to 5 %."""
        heat: NDArray[np.float32] = np.maximum(super().get_cam_image(*args, **options), 0)
        return np.zeros_like(heat) if np.ptp(heat) <= _FLAT * heat.max() else heat


class ContrastedGradCAM(Contrasted, GradCAM):
    """Grad-CAM, empty where nothing stands out."""


class ContrastedHiResCAM(Contrasted, HiResCAM):
    """HiResCAM, empty where nothing stands out."""


class ScoreCAM(Contrasted):
    """Score-CAM: each feature map masks the image, and weighs by what it keeps of the score.

    Sources: H. Wang and others, Score-CAM: Score-Weighted Visual Explanations for Convolutional
    Neural Networks, CVPR Workshops 2020. As in its faster variants only the maps that vary most
    are tried. A map gains what it keeps of the score over an empty image, at least 0, and weighs
    how much more that is than the mean gain: what all maps keep alike would add up their noise.
    The paper's softmax lets one map outweigh all others where the score is a sum over pixels, and
    makes them all alike where it is a probability. Where no map keeps 5 % of the score, or all keep
    the same to 5 %, they say nothing and weigh nothing.

    Args:
        model: The network.
        layers: The layer, alone in a list.
        reshape_transform: Brings its output to [B, C, h, w].
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[nn.Module],
        reshape_transform: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(model, list(layers), reshape_transform, uses_gradients=False)

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layers: Any,
        targets: Sequence[Callable[[Tensor], Tensor]],
        activations: NDArray[np.float32],
        grads: Any,
    ) -> NDArray[np.float32]:
        """Return the weight of each feature map, float32 [1, C]."""
        maps = torch.from_numpy(activations[0]).to(input_tensor.device)
        chosen = maps.flatten(1).std(dim=1).topk(min(_MOST_CHANNELS, len(maps))).indices
        masks = F.interpolate(
            maps[chosen, None], input_tensor.shape[-2:], mode="bilinear", align_corners=False
        )
        low, high = masks.amin((1, 2, 3), keepdim=True), masks.amax((1, 2, 3), keepdim=True)
        masks = (masks - low) / (high - low).clamp(min=1e-8)
        with torch.no_grad():
            ends = torch.cat([torch.zeros_like(input_tensor), input_tensor])
            empty, whole = (targets[0](output) for output in self.model(ends))
            values = [
                targets[0](output)
                for part in torch.split(masks, _BATCH)
                for output in self.model(input_tensor * part)
            ]
        gains = (torch.stack(values) - empty).float().cpu().clamp(min=0)
        weights = torch.zeros(1, len(maps))
        if not _says_nothing(gains, float(whole - empty)):
            weights[0, chosen.cpu()] = gains - gains.mean() if len(gains) > 1 else gains
        return weights.numpy()


def _says_nothing(gains: Tensor, whole: float) -> bool:
    """Tell whether maps keep next to nothing of a score, or all the same."""
    alike = len(gains) > 1 and float(gains.std()) <= _FLAT * float(gains.mean())
    return alike or float(gains.max()) <= _FLAT * abs(whole)


_CAMS: dict[Cam, tuple[str, Callable[..., BaseCAM]]] = {
    "grad-cam": ("Grad-CAM", ContrastedGradCAM),
    "hirescam": ("HiResCAM", ContrastedHiResCAM),
    "score-cam": ("Score-CAM", ScoreCAM),
}


@dataclass(frozen=True)
class Explanation:
    """Why the network says what it says of one image.

    Attributes:
        target: What is explained.
        layer: Name of the layer that the maps were made on.
        maps: Heatmaps by the name of their method: in [0, 1] with 1 for the strongest, float32
            [H, W]; 0 everywhere where nothing stands out.
        box: Left, top, right, bottom of the detection that is explained, pixels, float32 [4].
    """

    target: Target
    layer: str
    maps: dict[str, Heat]
    box: NDArray[np.float32] | None = None


def explain_image(
    task: VisionTask, image: Tensor, layer: str | None = None, cams: Sequence[Cam] = ()
) -> Explanation:
    """Explain what a task's network says of one image.

    Grad-CAM weighs each feature map by its mean gradient. The score of a detection has a gradient
    at one place only, which the mean would spread over all objects, so that detectors are explained
    by HiResCAM: gradient times feature map, place by place. Of detectors with two stages the second
    judges the explained region alone, whatever is proposed for a masked image: else any other
    object of the class would keep up the score, and Score-CAM's weights would all be alike.

    Sources: R. Selvaraju and others, Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization, ICCV 2017; R. Draelos, L. Carin, Use HiResCAM instead of Grad-CAM
    for faithful explanations of convolutional neural networks, arXiv 2011.08891.

    Args:
        task: The trained task.
        image: uint8 [channels, H, W], as the network takes it.
        layer: Name of the layer; None takes the last one with feature maps.
        cams: The methods; without any, that which fits the task best, and Score-CAM.

    Raises:
        ViewfinderError: If there is no such layer, or none with feature maps.
    """
    scores = ClassScores(task)
    device = evaluating(scores)
    pixels = task.normalize(image[None].to(device))
    target = find_target(task, scores, pixels)
    chosen = choose_layer(scores, pixels, target, layer)
    detects = isinstance(task, Detection | InstanceSegmentation)
    usual: tuple[Cam, ...] = ("hirescam" if detects else "grad-cam", "score-cam")
    maps = {
        name: _run(method(scores, [chosen.module], chosen.as_maps), pixels, target)
        for name, method in (_CAMS[cam] for cam in cams or usual)
    }
    scores.zero_grad(set_to_none=True)
    return Explanation(target, chosen.name, maps, _best_box(task, image) if detects else None)


def _best_box(task: VisionTask, image: Tensor) -> NDArray[np.float32] | None:
    found = task.predict(image[None])
    if not found["scores"].numel() or found["scores"][0, 0] == 0:
        return None
    return np.array(found["boxes"][0, 0].tolist(), np.float32)


def _run(method: BaseCAM, pixels: Tensor, target: Target) -> Heat:
    # Not as a context: the library's would print and swallow errors.
    try:
        with torch.enable_grad():
            found = method(pixels.detach().requires_grad_(), targets=[target.value])
    finally:
        method.activations_and_grads.release()
    return np.nan_to_num(np.asarray(found[0], np.float32))
