"""ImageNet's 1,000 class names, made unique."""

from __future__ import annotations

from collections.abc import Sequence

#: The usual list says "crane" (134 the bird, 517 the machine) and "maillot" twice, and some
#: releases of torchvision do; the second of each then gets its WordNet synset.
QUALIFIED = {517: "crane (n03126707)", 639: "maillot (n03710721)"}


def imagenet_classes() -> tuple[str, ...]:
    """The names in the order of the usual weights, unique; imports torchvision."""
    from torchvision.models import ResNet18_Weights

    return qualified(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def qualified(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a synset for the second of two equal ones."""
    return tuple(QUALIFIED[k] if name in names[:k] else name for k, name in enumerate(names))
