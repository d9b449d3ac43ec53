"""timm's classifiers as clsbench models; see README.md.

This module is imported whenever a model name has to be looked up, so it imports neither timm nor torch: the names come
from a table that is part of this package, and the rest waits inside ``build``.

Source: R. Wightman, PyTorch Image Models, github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, hookimpl
from clsbench_timm.names import known_names

if TYPE_CHECKING:
    from clsbench import Classifier


@hookimpl
def register_models() -> Iterator[Component]:
    """One component for each architecture and each of its tags: ``resnet50d``, ``resnet50d.ra2_in1k``."""
    for one in known_names():
        yield Component(one.name, partial(build, one.name), one.summary, facts=one.facts)


def build(
    name: str,
    num_classes: int | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    size: int | str | None = None,
    crop_pct: float | None = None,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
) -> Classifier:
    """Build one of timm's networks.

    Args:
        name: As timm names it, with or without a pretrained tag.
        num_classes: K; None for the original head with the classes it was trained on.
        pretrained: Start from the weights of the tag, or of timm's default one; downloaded from the Hugging Face hub
            once.
        weights: Start from this local file instead, a .safetensors or torch file, timm's or an original one.
        size: Another input side than the weights were trained for, or ``H,W``, pixels.
        crop_pct: The part of the resized image that is cropped, instead of the published one.
        drop_rate: Probability of dropping a feature before the head while training.
        drop_path_rate: Probability of leaving out a residual branch while training.

    Raises:
        OptionError: if the network does not take an option or the size.
        ModelError: if weights are missing, cannot be downloaded or are those of another network, or the
            preprocessing or the head is of a kind that clsbench cannot state.
    """
    from clsbench_timm.network import build_classifier

    drops = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    return build_classifier(
        name, num_classes, pretrained=pretrained, weights=weights, size=size, crop_pct=crop_pct, drops=drops
    )
