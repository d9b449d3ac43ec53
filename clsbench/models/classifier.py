"""Classifier: the shape every network takes.

    uint8 (N, h, w, 3) → normalise → backbone: float32 (N, 3, h, w) → features (N, D)
                                   → head: (N, D) → logits (N, K)

Normalisation is the first layer, so no caller can forget it. The split into backbone
and head is what freezing, discriminative learning rates and cached features need.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clsbench.errors import ModelError
from clsbench.transform import ImageTransform


class Classifier(nn.Module):
    """A backbone and a head, with the preprocessing they expect.

    Args:
        backbone: float32 (N, 3, h, w), normalised -> features (N, D).
        head: (N, D) -> logits (N, K).
        transform: The preprocessing; its mean and std become the first layer.
        feature_dim: D.
        classes: The names of the K classes the weights were trained on, if any.
        layer_groups: (name, parameters) from first to last, the head's group last. By
            default the parameters of the backbone by their first name, then the head.

    Raises:
        ModelError: if the layer groups leave parameters out or hold them twice.
    """

    scale: Tensor
    shift: Tensor

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
        self.layer_groups = layer_groups or [*_groups(backbone), ("head", list(head.parameters()))]
        grouped = [id(p) for _, parameters in self.layer_groups for p in parameters]
        if sorted(grouped) != sorted(id(p) for p in self.parameters()):
            raise ModelError("the layer groups of a model must hold each of its parameters once")
        mean, std = torch.tensor(transform.mean), torch.tensor(transform.std)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) -> float32 (N, 3, h, w), by the transform's mean and std."""
        return images.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.shift

    def features(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) -> features (N, D)."""
        features: Tensor = self.backbone(self.normalise(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, h, w, 3) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def _groups(backbone: nn.Module) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Parameters by the first part of their names; by two parts where one says nothing."""
    for depth in (1, 2):
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in backbone.named_parameters():
            groups.setdefault(".".join(name.split(".")[:depth]), []).append(parameter)
        if len(groups) > 2:
            break
    yield from groups.items()
