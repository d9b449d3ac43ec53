"""A network of timm in two: the backbone, up to the features, and one linear layer.

Most of timm's networks end in a linear layer, or in a 1×1 convolution of pooled features, which is one. It becomes the
head, and an identity takes its place. Some end in several linear layers whose logits are added with weights c₁, c₂, …,
as distilled networks do: Σ cᵢ (Wᵢ fᵢ + bᵢ) = [W₁ W₂ …] [c₁f₁; c₂f₂; …] + Σ cᵢ bᵢ, so that the features are all of
theirs together, and the head is one linear layer again.

Legend: N images, K classes, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clsbench import ModelError


class Beside(nn.Module):
    """Features (N, d) at their place among those of all heads (N, D), with zeros in the others' places.

    Args:
        before, after: Number of features of the heads before and after this one.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before, self.after = before, after

    def forward(self, features: Tensor) -> Tensor:
        """(N, d) -> (N, before + d + after)."""
        return nn.functional.pad(features, (self.before, self.after))


def head_paths(name: str, classifier: str | Sequence[str] | None) -> tuple[str, ...]:
    """Where the last layers are.

    Args:
        name: Of the network, for messages.
        classifier: What timm says of it.

    Raises:
        ModelError: if there is none.
    """
    if not classifier:
        raise _no_classifier(name)
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def take_head(name: str, network: Any, paths: Sequence[str]) -> nn.Linear:
    """Take the last layers out of a network, which then gives features (N, D), and return them as one.

    Args:
        name: Of the network, for messages.
        network: Is changed.
        paths: Where its last layers are.

    Raises:
        ModelError: if one of them is of another kind.
    """
    try:
        layers = [network.get_submodule(path) for path in paths]
    except AttributeError:
        raise _no_classifier(name) from None
    for path, layer in zip(paths, layers, strict=True):
        linear = isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
        if not linear or getattr(layer, "groups", 1) != 1:
            raise ModelError(f"the last layer of {name} is not linear", where=path, got=repr(layer)[:100])
    widths = [layer.weight.shape[1] for layer in layers]
    for k, path in enumerate(paths):
        beside = Beside(sum(widths[:k]), sum(widths[k + 1 :]))
        network.set_submodule(path, beside if len(paths) > 1 else nn.Identity())
    rows = layers[0].weight.shape[0]
    head = nn.Linear(sum(widths), rows, bias=all(layer.bias is not None for layer in layers))
    if not head.weight.is_meta:
        names = {
            f"{path}.{n}": t for path, layer in zip(paths, layers, strict=True) for n, t in layer.named_parameters()
        }
        head.load_state_dict({n.removeprefix(f"{paths[0]}."): t for n, t in with_one_head(names, paths).items()})
    return head


def _no_classifier(name: str) -> ModelError:
    return ModelError(f"{name} is no classifier", got="a network without a last layer", hint="choose another model")


def with_one_head(state: Mapping[str, Tensor], paths: Sequence[str]) -> dict[str, Tensor]:
    """Tensors by timm's names, those of all last layers under the name of the first one, as one linear layer.

    The bias is the mean of theirs, which is right where their logits are averaged.
    """
    heads = {f"{path}.{kind}" for path in paths for kind in ("weight", "bias")}
    merged = {name: tensor for name, tensor in state.items() if name not in heads}
    weights, biases = ([state[n] for p in paths if (n := f"{p}.{kind}") in state] for kind in ("weight", "bias"))
    if len(weights) == len(paths) and len({len(weight) for weight in weights}) == 1:
        merged[f"{paths[0]}.weight"] = torch.cat([weight.detach().flatten(1) for weight in weights], dim=1)
    if len(biases) == len(paths) and len({bias.shape for bias in biases}) == 1:
        merged[f"{paths[0]}.bias"] = torch.stack([bias.detach() for bias in biases]).mean(dim=0)
    return merged
