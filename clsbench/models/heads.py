"""Heads by a short text: ``linear``, ``mlp:512``, ``mlp:512,dropout=0.2``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier

_TEXT = re.compile(r"(?:linear|mlp:(?P<width>\d+))(?:,dropout=(?P<dropout>\d*\.?\d+))?")


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """What lies between the features and the logits.

    Args:
        width: Of the hidden layer; None for a linear head.
        dropout: Probability of dropping an input of the last layer while training.
    """

    width: int | None = None
    dropout: float = 0.0


def parse_head(text: str) -> HeadSpec:
    """Read a head's text.

    >>> parse_head("mlp:512,dropout=0.2")
    HeadSpec(width=512, dropout=0.2)

    Raises:
        OptionError: if it is not of the form above.
    """
    found = _TEXT.fullmatch(text)
    spec = HeadSpec(
        width=int(found["width"]) if found and found["width"] else None,
        dropout=float(found["dropout"]) if found and found["dropout"] else 0.0,
    )
    if not found or spec.width == 0 or spec.dropout >= 1:
        raise OptionError(
            "cannot read a head",
            where="--head",
            got=text,
            expected="linear or mlp:WIDTH, and ,dropout=P with P below 1",
        )
    return spec


def with_head(classifier: Classifier, spec: HeadSpec, num_classes: int) -> Classifier:
    """The classifier with a new head; as it is, for a plain linear head.

    The new head's weights are fresh, unless those of a weights file that was loaded fit it.

    Args:
        classifier: Gives the backbone, with its weights.
        spec: The head.
        num_classes: K.
    """
    if spec == HeadSpec():
        return classifier
    from torch import nn

    from clsbench.models.classifier import Classifier
    from clsbench.models.loading import load_head

    dim = classifier.feature_dim
    layers: list[nn.Module] = [nn.Linear(dim, spec.width), nn.ReLU()] if spec.width else []
    layers += [nn.Dropout(spec.dropout)] if spec.dropout else []
    renewed = Classifier(
        classifier.backbone,
        nn.Sequential(*layers, nn.Linear(spec.width or dim, num_classes)),
        transform=classifier.transform,
        feature_dim=dim,
        layer_groups=[g for g in classifier.layer_groups if g[0] != "head"],
    )
    renewed.loaded = classifier.loaded
    if classifier.loaded and classifier.loaded.head_tensors:
        load_head(renewed, classifier.loaded)
    return renewed


def renew_head(classifier: Classifier, reason: str) -> None:
    """Give the head fresh weights, and forget those of the file that was loaded.

    Args:
        classifier: Its ``loaded`` says that the head is new.
        reason: Why.
    """
    for module in classifier.head.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    if classifier.loaded:
        classifier.loaded = replace(classifier.loaded, head=False, head_reason=reason, head_tensors={})
