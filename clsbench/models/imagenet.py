"""ImageNet's 1,000 class names, made unique."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: The usual list, one name a line, as torchvision's weights have it.
_NAMES = Path(__file__).with_name("imagenet_classes.txt")

#: The usual list says "crane" (134 the bird, 517 the machine) and "maillot" twice, and some
#: releases of torchvision do; the second of each then gets its WordNet synset.
QUALIFIED = {517: "crane (n03126707)", 639: "maillot (n03710721)"}


def imagenet_classes() -> tuple[str, ...]:
    """The names in the order of the usual weights, unique."""
    return qualified(_NAMES.read_text(encoding="utf-8").splitlines())


def qualified(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a synset for the second of two equal ones."""
    return tuple(QUALIFIED[k] if name in names[:k] else name for k, name in enumerate(names))
