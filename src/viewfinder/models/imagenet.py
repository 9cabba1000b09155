"""Networks that were trained on ImageNet, and what they see in a picture."""

from typing import Any

import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config

from viewfinder.errors import ViewfinderError
from viewfinder.models.timm_models import check_name, timm_classifier
from viewfinder.models.timm_weights import HUB, PACKAGE, PACKAGED_MODEL


class ImageNetClassifier:
    """A timm classifier with the weights, classes and preprocessing it was trained with.

    Args:
        name: Name of a timm model.
        weights: ``hub``, ``package`` or a file; None takes the package for the network that it
            belongs to, and the hub for any other.

    Raises:
        ViewfinderError: If timm has no such network, its weights can't be had or don't fit, or
            its classes are not those of ImageNet.
    """

    def __init__(self, name: str, weights: str | None = None) -> None:
        check_name(name)
        packaged = name.split(".")[0] == PACKAGED_MODEL
        weights = weights or (PACKAGE if packaged else HUB)
        classes = timm.models.get_pretrained_cfg(name).num_classes
        network: Any = timm_classifier(classes, name=name, weights=weights)
        subset = infer_imagenet_subset(network)
        if subset is None:
            raise ViewfinderError(
                f"timm's {name!r} tells {classes} classes apart, which are none of ImageNet's. "
                "Choose a model whose name ends in in1k, in12k or in22k, or has no tag."
            )
        self._network = network.eval()
        self._info = ImageNetInfo(subset)
        self._transform: Any = create_transform(**resolve_data_config({}, model=network))

    @torch.inference_mode()
    def top(self, image: Image.Image, count: int = 5) -> list[tuple[str, float]]:
        """Return the likeliest classes of a picture.

        Args:
            image: The picture, of any size.
            count: How many classes.

        Returns:
            Name and probability of each, the likeliest first.
        """
        logits = self._network(self._transform(image.convert("RGB")).unsqueeze(0))[0]
        shares, labels = logits.softmax(dim=0).topk(min(count, len(logits)))
        return [
            (self._info.index_to_description(label), share)
            for label, share in zip(labels.tolist(), shares.tolist(), strict=True)
        ]
