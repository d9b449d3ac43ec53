"""``simple-cnn``: the small network of the CIFAR-10 tutorials.

Convolution 3→18, ReLU, 2×2 max pooling, a hidden layer of 64, K logits. It trains in
seconds on small images and is the example to read for a model plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.component import ModelFacts
from clsbench.errors import ModelError, OptionError
from clsbench.picture_shape import ImageSize, sides
from clsbench.transform import ImageTransform

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier

FACTS = ModelFacts(parameters=360_480, size=32)


def build(
    num_classes: int | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    size: ImageSize = 32,
    channels: int = 18,
    width: int = 64,
) -> Classifier:
    """Build the network with fresh weights.

    Args:
        num_classes: K.
        pretrained: Must be False: nobody publishes weights for this network.
        weights: A local weights file to start from.
        size: Side of the square input, or ``H,W``, pixels; even.
        channels: Of the convolution.
        width: Of the hidden layer.

    Raises:
        ModelError: if pretrained weights are asked for.
        OptionError: if a size is out of range.
    """
    if pretrained or num_classes is None:
        raise ModelError("simple-cnn has no pretrained weights", hint="train it, or choose another model")
    h, w = sides(size)
    if h % 2 or w % 2 or channels < 1 or width < 1:
        raise OptionError(
            "simple-cnn cannot be built",
            got=f"size={size} channels={channels} width={width}",
            expected="an even size of at least 2, channels and width of at least 1",
        )
    from torch import nn

    from clsbench.models.classifier import Classifier
    from clsbench.models.loading import load_state
    from clsbench.models.weights import read_state

    backbone = nn.Sequential(
        nn.Conv2d(3, channels, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * (h // 2) * (w // 2), width),
        nn.ReLU(),
    )
    half = (0.5, 0.5, 0.5)
    classifier = Classifier(
        backbone,
        nn.Linear(width, num_classes),
        transform=ImageTransform(size=(h, w), mean=half, std=half),
        feature_dim=width,
    )
    if weights:
        load_state(classifier, read_state(weights), head="head", where=weights)
    return classifier
