"""From a network of open_clip to a Classifier: its image encoder, and a head of text embeddings or a fresh one.

Zero-shot, the logits are those of CLIP: ``exp(logit_scale) · cos(image, text) + logit_bias``. The cosine is a linear
layer of the normalised image embedding, so that the text encoder is run once, here, and is not part of the exported
file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clsbench import Classifier, ModelError, OptionError, load_state, read_state
from clsbench_openclip.loading import Wanted, create
from clsbench_openclip.preprocessing import transform_of
from clsbench_openclip.prompts import prompts, tokens_of

__all__ = ["Wanted", "build_classifier"]

#: Parameters of open_clip's own vision transformers before and behind the blocks: its `lock` has the same groups.
BEFORE, BEHIND = ("conv1", "class_embedding", "positional_embedding", "ln_pre"), ("ln_post", "attn_pool", "proj")


class Backbone(nn.Module):
    """CLIP's image encoder.

    Args:
        visual: Of open_clip.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """float32 (N, 3, h, w) -> features (N, D) of length 1."""
        found = self.visual(images)
        pooled: Tensor = found[0] if isinstance(found, tuple) else found  # CoCa's gives its tokens as well
        return functional.normalize(pooled, dim=-1)


def build_classifier(wanted: Wanted, num_classes: int | None, *, classes: Sequence[str], templates: str) -> Classifier:
    """Build a network of open_clip; see :func:`clsbench_openclip.build`."""
    if classes and num_classes is not None:
        raise OptionError(
            "classes are for a zero-shot head, which is not trained", where="model.classes",
            got=f"{len(classes)} names", hint="leave them out: a training takes the classes of its data",
        )  # fmt: skip
    if wanted.size is not None and wanted.size < 1:
        raise OptionError("an image has pixels", where="model.size", got=wanted.size, expected="1 or more")
    if num_classes is None and not classes:
        raise ModelError(
            f"{wanted.name} has no classes of its own: CLIP classifies into any that are named",
            hint="name them with --classes cat,dog or --classes FILE",
        )
    if num_classes is None and not (wanted.pretrained or wanted.weights):
        raise ModelError(f"{wanted.name} needs weights for zero-shot", hint="add --pretrained, or --weights FILE")
    state = read_state(wanted.weights) if wanted.weights else {}
    ours = any(name.startswith("backbone.") for name in state)  # clsbench's own names
    if ours and num_classes is None:
        raise ModelError(
            "the weights have no text encoder, which zero-shot needs", where=wanted.weights,
            expected="the whole model, as open_clip saves it",
        )  # fmt: skip
    network = create(wanted, ours=ours).eval()
    backbone = Backbone(network.visual)
    transform = transform_of(network, wanted.name)
    dim = _feature_dim(backbone, transform.size, wanted.name)
    if num_classes is None:
        head, filled = _text_head(network, wanted, classes, templates), True
    else:
        head, filled = nn.Linear(dim, num_classes), False
    classifier = Classifier(
        backbone, head, transform=transform, feature_dim=dim,
        classes=tuple(classes) or None, layer_groups=layer_groups(network.visual),
    )  # fmt: skip
    if wanted.pretrained or wanted.weights:
        own = backbone.state_dict(prefix="backbone.") | (head.state_dict(prefix="head.") if filled else {})
        load_state(classifier, state if ours else own, head="head", where=wanted.weights or wanted.name)
        if filled and classifier.loaded:
            made = "the text embeddings of the names"
            classifier.loaded = replace(classifier.loaded, head_reason=made)
    return classifier


def _feature_dim(backbone: Backbone, size: tuple[int, int], name: str) -> int:
    try:
        with torch.inference_mode():
            return int(backbone(torch.zeros(1, 3, *size)).shape[1])
    except (RuntimeError, AssertionError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ModelError(f"{name} cannot be run", where="{} × {} pixels".format(*size), got=f"{text:.300}") from error


def _text_head(network: Any, wanted: Wanted, classes: Sequence[str], templates: str) -> nn.Linear:
    """A linear layer whose rows are the scaled text embeddings of the classes."""
    from open_clip import build_zero_shot_classifier

    asked = prompts(templates)
    tokenizer = tokens_of(wanted, classes, asked)
    columns = build_zero_shot_classifier(network, tokenizer, list(classes), asked)  # (D, K)
    head = nn.Linear(columns.shape[0], len(classes))
    with torch.no_grad():
        head.weight.copy_(network.logit_scale.exp() * columns.T)
        head.bias.fill_(0.0 if network.logit_bias is None else float(network.logit_bias))
    return head


def layer_groups(visual: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Parameters from first to last: what stands before the blocks, each block, and the projection."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in visual.named_parameters():
        groups.setdefault(_group(name.split(".")), []).append(parameter)
    last = groups.pop("projection", None)
    return [*groups.items(), *([("projection", last)] if last else [])]


def _group(parts: Sequence[str]) -> str:
    if parts[0] in BEFORE:
        return "embeddings"
    if parts[0] in BEHIND or parts[0] == "head":  # the latter of networks of timm
        return "projection"
    numbered = next((k for k, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[: 2 if parts[0] == "trunk" else 1] if numbered is None else parts[: numbered + 1])
