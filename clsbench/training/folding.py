"""Batch normalisation that keeps its statistics, computed as part of the convolution before it.

With fixed statistics, norm(conv(x, w)) = conv(x, w · s) + t, where s = γ / √(σ² + ε) and t = β − μ · s: one pass over
the activations in place of three, forward and backward, and the gradients of w, γ and β are those of the chain rule
over small tensors (S. Ioffe, C. Szegedy, Batch Normalization, 2015, section 3.1, for inference). On a CPU this is a
good part of a step of fine-tuning. Weights, state and files stay as they are; a step differs by rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from clsbench.models.classifier import Classifier, evaluating

#: How far a pair's folded output may be from that of its two layers, as a part of the largest number.
NEAR = 1e-4


@dataclass(frozen=True, eq=False)
class Pair:
    """A convolution and the batch normalisation that alone takes its output."""

    conv: nn.Conv2d
    norm: _BatchNorm

    def __call__(self, images: Tensor) -> Tensor:
        """What both together put out, with the statistics that the normalisation has."""
        conv, norm = self.conv, self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        own = conv._parameters
        weight, bias = own["weight"], own["bias"]
        assert weight is not None
        # The layer's own forward, which may pad: for its time it has other weights.
        own["weight"] = weight * scale[:, None, None, None]  # type: ignore[assignment]
        own["bias"] = shift if bias is None else bias * scale + shift  # type: ignore[assignment]
        try:
            found: Tensor = type(conv).forward(conv, images)
        finally:
            own["weight"], own["bias"] = weight, bias
        return found


def find_pairs(classifier: Classifier, example: Tensor) -> list[Pair]:
    """The pairs of a network that can be computed as one.

    A pair is tried, not believed: its layers are called once, the convolution's output goes nowhere else, and the
    folded output is that of the layers.

    Args:
        classifier: In the mode that it is trained in; layers that are frozen whole are left alone.
        example: A few images as the network takes them, with content: flat ones hide what layers do.
    """
    kept = {module for module in classifier.modules() if isinstance(module, _BatchNorm) and not module.training}
    calls: Counter[nn.Module] = Counter()
    made: dict[int, tuple[nn.Conv2d, Tensor, Tensor]] = {}
    tried: list[tuple[Pair, Tensor, Tensor, Tensor]] = []

    def heard(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        calls[module] += 1
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module, given[0], output
        elif isinstance(module, _BatchNorm) and module in kept and id(given[0]) in made and _simple(module):
            conv, images, between = made[id(given[0])]
            if between.grad_fn is not None and conv._parameters.get("weight") is not None:
                tried.append((Pair(conv, module), images, between, output.detach().clone()))

    wanted = [module for module in classifier.modules() if isinstance(module, nn.Conv2d | _BatchNorm)]
    hooks = [module.register_forward_hook(heard) for module in wanted]
    try:
        with evaluating(classifier), torch.enable_grad():
            readers = _readers(classifier(example))
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for pair, images, between, right in tried:
        alone = calls[pair.conv] == calls[pair.norm] == 1 and readers[between.grad_fn] == 1
        if alone and _same(pair, images, right):
            found.append(pair)
    return found


@contextmanager
def folded(pairs: Sequence[Pair]) -> Iterator[None]:
    """Within, each pair is computed in its convolution, and its normalisation passes on what it gets."""
    for pair in pairs:
        pair.conv.forward = pair.__call__  # type: ignore[method-assign, assignment]
        pair.norm.forward = _pass  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for pair in pairs:
            del pair.conv.forward, pair.norm.forward


def _pass(given: Tensor) -> Tensor:
    return given


def _simple(norm: _BatchNorm) -> bool:
    """Whether a layer is torch's own, with weights and statistics."""
    own = isinstance(norm, nn.BatchNorm2d) and type(norm).forward is nn.BatchNorm2d.forward
    return own and norm.affine and norm.running_mean is not None


def _readers(output: Tensor) -> Counter[Any]:
    """Node of the graph -> how many others take its output."""
    found: Counter[Any] = Counter()
    seen, left = set(), [output.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        following = [after for after, _ in node.next_functions if after is not None]
        found.update(following)
        left += following
    return found


def _same(pair: Pair, images: Tensor, right: Tensor) -> bool:
    with torch.no_grad():
        try:
            found = pair(images)
        except (RuntimeError, TypeError, ValueError):  # a forward of its own that takes more, or another bias
            return False
    return found.shape == right.shape and bool((found - right).abs().max() <= NEAR * right.abs().max())
