"""Classifier: the shape every network takes.

    uint8 (N, h, w, 3) → normalise → backbone: float32 (N, 3, h, w) → features (N, D)
                                   → head: (N, D) → logits (N, K)

Normalisation is the first layer, so no caller can forget it. The split into backbone
and head is what freezing, discriminative learning rates and cached features need.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clsbench.errors import ModelError, Terminated
from clsbench.transform import ImageTransform

if TYPE_CHECKING:
    from clsbench.models.loading import LoadReport


class Classifier(nn.Module):
    """A backbone and a head, with the preprocessing they expect.

    Args:
        backbone: float32 (N, 3, h, w), normalised -> features (N, D).
        head: (N, D) -> logits (N, K).
        transform: The preprocessing; its mean and std become the first layer.
        feature_dim: D.
        classes: The names of the K classes the weights were trained on, if any.
        layer_groups: (name, parameters) from first to last; the head's is added where it
            is missing. By default the parameters of the backbone by their names' first parts.

    Raises:
        ModelError: if the layer groups leave parameters out or hold them twice.
    """

    scale: Tensor
    shift: Tensor

    #: What was taken from a weights file; None where no file was loaded.
    loaded: LoadReport | None = None

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        transform: ImageTransform,
        feature_dim: int,
        classes: tuple[str, ...] | None = None,
        layer_groups: list[tuple[str, list[nn.Parameter]]] | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.transform, self.feature_dim, self.classes = transform, feature_dim, classes
        self.layer_groups = list(layer_groups or _groups(backbone))
        if "head" not in dict(self.layer_groups):
            self.layer_groups.append(("head", list(head.parameters())))
        grouped = [id(p) for _, parameters in self.layer_groups for p in parameters]
        if sorted(grouped) != sorted(id(p) for p in self.parameters()):
            raise ModelError("the layer groups of a model must hold each of its parameters once")
        mean, std = torch.tensor(transform.mean), torch.tensor(transform.std)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)

    @property
    def head_loaded(self) -> bool | None:
        """Whether the head's weights came from a file; None where no file was loaded."""
        return None if self.loaded is None else self.loaded.head

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3), RGB -> float32 (N, 3, h, w), by the transform's channel order, mean and std."""
        # Converted first: TensorRT takes uint8 only where a Cast is what reads it (NVIDIA/TensorRT#3985).
        levels = images.to(self.scale.dtype).permute(0, 3, 1, 2)
        if self.transform.color == "BGR":
            levels = levels.flip(1)
        return levels * self.scale + self.shift

    def features(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) -> features (N, D)."""
        features: Tensor = self.backbone(self.normalise(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def with_transform(classifier: Classifier, transform: ImageTransform) -> Classifier:
    """The same network, weights included, with another preprocessing."""
    changed = Classifier(
        classifier.backbone,
        classifier.head,
        transform=transform,
        feature_dim=classifier.feature_dim,
        classes=classifier.classes,
        layer_groups=classifier.layer_groups,
    )
    changed.loaded = classifier.loaded
    return changed


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within, the network is in evaluation mode; afterwards each of its modules is in the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def check_outputs(classifier: Classifier, num_classes: int, *, name: str) -> None:
    """Run two black images through a network; its weights, statistics, modes and random numbers stay as they are.

    Args:
        classifier: On the CPU.
        num_classes: K.
        name: What built it, for messages.

    Raises:
        ModelError: if it cannot be run, or features are not (N, D) or logits not (N, K), floating-point.
    """
    images = torch.zeros(2, *classifier.transform.size, 3, dtype=torch.uint8)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(), evaluating(classifier):
        try:
            features = classifier.features(images)
            logits = classifier.head(features)
        except Terminated:
            raise
        except (Exception, SystemExit) as error:
            got = f"{type(error).__name__}: {error}"
            size = "{}×{} pixels".format(*classifier.transform.size)
            raise ModelError(f"{name} built a network that cannot be run on 2 images", where=size, got=got) from error
    for what, tensor, width, reason in (
        ("features", features, classifier.feature_dim, "its feature_dim"),
        ("logits", logits, num_classes, f"one logit for each of the {num_classes} classes"),
    ):
        if not (isinstance(tensor, Tensor) and tensor.shape == (2, width) and tensor.is_floating_point()):
            got = f"{tuple(tensor.shape)} {tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
            expected = f"(2, {width}) floating-point: {reason}"
            raise ModelError(
                f"{name} built a network with the wrong {what}", got=f"{got} for 2 images", expected=expected
            )


def _groups(backbone: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Parameters by the first part of their names, and deeper where a group would hold too much.

    A part that holds more than half of all parameters says little about depth, so its
    children become groups; likewise all parts where there are but two.
    """
    named = list(backbone.named_parameters())
    depth = 1 if len(_grouped(named, {}, 1)) > 2 else 2
    split: dict[str, int] = {}
    while True:
        groups = _grouped(named, split, depth)
        sizes = {name: sum(p.numel() for p in group) for name, group in groups.items()}
        heavy = [n for n, size in sizes.items() if 2 * size > sum(sizes.values()) and n not in split]
        if not heavy:
            # A backbone's own child of that name is not the head.
            return [("backbone.head" if name == "head" else name, group) for name, group in groups.items()]
        split[heavy[0]] = heavy[0].count(".") + 2


def _grouped(named: list[tuple[str, nn.Parameter]], split: dict[str, int], depth: int) -> dict[str, list[nn.Parameter]]:
    """Parameters by their names' first ``depth`` parts, or more for the prefixes in ``split``."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in named:
        # The last part names a tensor of a layer, such as its bias: layers stay whole.
        parts, taken = name.split(".")[:-1] or [name], depth
        while (deeper := split.get(".".join(parts[:taken]))) and deeper > taken:
            taken = deeper
        groups.setdefault(".".join(parts[:taken]), []).append(parameter)
    return groups
