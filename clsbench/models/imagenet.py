"""ImageNet's 1,000 class names, made unique."""

from __future__ import annotations

#: The usual list says "crane" (134 the bird, 517 the machine) and "maillot" twice; the
#: second of each gets its WordNet synset.
QUALIFIED = {517: "crane (n03126707)", 639: "maillot (n03710721)"}


def imagenet_classes() -> tuple[str, ...]:
    """The names in the order of the usual weights, unique; imports torchvision."""
    from torchvision.models import ResNet18_Weights

    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return tuple(QUALIFIED.get(k, name) for k, name in enumerate(names))
