"""torchvision's classification networks by name, their last layer turned into the head."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.component import Component
from clsbench.errors import ModelError, OptionError
from clsbench.models.imagenet import imagenet_classes
from clsbench.models.zoo_table import zoo_table
from clsbench.picture_shape import ImageSize, sides
from clsbench.transform import ImageTransform

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clsbench.models.classifier import Classifier

#: Networks whose published weights expect mean = std = 0.5. torchvision hides that in a
#: `transform_input` flag inside the network; here the transform says it.
REBASED = ("googlenet", "inception_v3")

#: Parameters of branches that exist only while training from scratch, whatever stands before them.
TRAINING_ONLY = re.compile(r"(^|\.)(aux1|aux2|AuxLogits)\.")

#: Densenet's published weights have one dot too many; torchvision renames them by the same pattern.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$")


def components() -> Iterator[Component]:
    """One component for each network in ``torchvision.models``."""
    table = zoo_table()
    for name, facts in table.models.items():
        yield Component(name, partial(build, name), f"torchvision {table.torchvision}", facts=facts)


def build(
    name: str,
    num_classes: int | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    size: ImageSize | None = None,
) -> Classifier:
    """Build one of torchvision's networks.

    Args:
        name: As torchvision names it.
        num_classes: K; None for the original head with ImageNet's classes.
        pretrained: Start from torchvision's default weights (downloaded once).
        weights: Start from this local file instead.
        size: Another input side than the weights were trained for, or ``H,W``, pixels.

    Raises:
        OptionError: if the size is none, or not square for a vision transformer.
        ModelError: if the weights cannot be downloaded, or are those of another network.
    """
    from torch import nn
    from torchvision import models

    from clsbench.models.classifier import Classifier
    from clsbench.models.loading import load_state
    from clsbench.models.weights import read_state

    published = models.get_model_weights(name).DEFAULT
    transform = _transform(name, published, size)
    state = read_state(weights) if weights else _download(published) if pretrained else None
    # These two have training-only branches, and ask for a decision about slow initialisation.
    branched = {"aux_logits": False, "init_weights": state is None} if name in REBASED else {}
    # A vision transformer has a position for each patch, so it is built for one size.
    sized = {"image_size": _side(name, transform.size)} if name.startswith("vit_") else {}
    network = models.get_model(name, weights=None, **branched, **sized)
    path, last = _last_layer(name, network)
    outputs, feature_dim = last.weight.shape[:2]
    if num_classes is None and (state is None or not isinstance(last, nn.Linear)):
        raise ModelError(
            f"{name} cannot be used with its own classes",
            expected="pretrained weights and a linear last layer",
            hint="add --pretrained, or train it on your own classes first",
        )
    classifier = Classifier(
        _without_last(network, path, last),
        nn.Linear(feature_dim, num_classes or outputs),
        transform=transform,
        feature_dim=feature_dim,
        classes=imagenet_classes() if num_classes is None else None,
    )
    if state is not None:
        loaded = load_state(classifier, _our_names(name, state), head=path, where=weights or published.url)
        if num_classes is None and not loaded:
            raise ModelError(
                "the weights are for another number of classes",
                where=weights,
                got=classifier.loaded.head_reason if classifier.loaded else None,
                hint="name the classes that they are for with `clsbench export --classes FILE`",
                code="CB-L006",
            )
    return classifier


def _our_names(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that the network has, by the names it has for them."""
    kept = {OLD_DENSENET.sub(r"\1\2", k): v for k, v in state.items() if not TRAINING_ONLY.search(k)}
    if name.startswith("squeezenet") and any("features." in k for k in kept):
        # Its backbone holds `features` alone, and its last layer is no linear one.
        return {k.replace("features.", "0.", 1): v for k, v in kept.items() if "features." in k}
    return kept


def _last_layer(name: str, network: nn.Module) -> tuple[str, Any]:
    """The layer that gives the 1,000 logits, and its name in the network."""
    from torch import nn

    layers = [
        (path, module)
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.shape[0] == 1000
    ]
    if not layers:
        raise ModelError(f"{name} has no last layer that can be replaced")
    return layers[-1]


def _without_last(network: nn.Module, path: str, last: nn.Module) -> nn.Module:
    """The network up to its features (N, D)."""
    from torch import nn

    if isinstance(last, nn.Linear):
        network.set_submodule(path, nn.Identity())
        return network
    # squeezenet ends in a 1×1 convolution; its features are pooled instead.
    return nn.Sequential(network.get_submodule("features"), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _transform(name: str, published: Any, size: ImageSize | None) -> ImageTransform:
    preset = published.transforms()
    half = (0.5, 0.5, 0.5)
    crop, resized = preset.crop_size[0], preset.resize_size[0]
    transform = ImageTransform(
        size=(crop, crop),
        crop_fraction=min(1.0, crop / resized),
        interpolation=preset.interpolation.value,
        mean=half if name in REBASED else tuple(preset.mean),
        std=half if name in REBASED else tuple(preset.std),
    )
    return dataclasses.replace(transform, size=sides(size)) if size is not None else transform


def _side(name: str, size: tuple[int, int]) -> int:
    if size[0] != size[1]:
        raise OptionError(
            f"{name} takes square images only", where="size", got="{},{}".format(*size),
            expected=f"one side, such as {max(size)}", hint="a convolutional network, such as resnet18, takes any",
        )  # fmt: skip
    return size[0]


def _download(published: Any) -> dict[str, Tensor]:
    """torchvision's published weights, checked by the hash in their name."""
    try:
        with redirect_stdout(sys.stderr):  # what torch tells about the download is no result
            state: dict[str, Tensor] = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
        return state
    except (OSError, RuntimeError) as error:
        raise ModelError(
            "the pretrained weights cannot be downloaded",
            where=published.url,
            got=error,
            hint="download the file on a connected machine and pass it with --weights FILE",
        ) from None
