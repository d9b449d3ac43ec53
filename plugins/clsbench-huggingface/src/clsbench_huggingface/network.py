"""A classifier of transformers as a :class:`clsbench.Classifier`.

The families call their parts differently, but all that are split here end in one linear layer: it becomes the head, and
what went into it the features. That its output are the logits is tried, not believed: two heads that are averaged, or
anything behind the layer, are refused. Parameters that no logit depends on, such as a mask token of the pretraining,
become buffers: they are saved, and nothing waits for their gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clsbench import Classifier, ModelError, OptionError, load_state, read_state
from clsbench_huggingface.hub import model_folder, no_telemetry, quiet_transformers
from clsbench_huggingface.saved import Saved, read_saved

#: Families whose attention is computed step by step: torch cannot export its own kernel on their windows.
EAGER = ("swin",)

#: How far the logits of head and backbone may be from those of the whole, as a part of the largest.
NEAR = 1e-4


class Backbone(nn.Module):
    """The network without its last layer.

    Args:
        network: Of transformers, its last layer an identity.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """float32 (N, 3, h, w) -> features (N, D)."""
        features: Tensor = self.network(pixel_values=images).logits
        return features.flatten(1)


def build(
    num_classes: int | None,
    *,
    path: str | None,
    pretrained: bool,
    weights: Path | None,
    revision: str | None,
    size: int | None,
) -> Classifier:
    """See :func:`clsbench_huggingface.build_model`."""
    if path is None:
        raise OptionError(
            "which model of transformers?", where="model huggingface",
            expected="the folder that save_pretrained wrote, or an id on the hub",
            hint="for example --with model.path=microsoft/resnet-50 --pretrained",
        )  # fmt: skip
    if num_classes is None and not (pretrained or weights):
        raise ModelError(f"{path} as it is needs weights", hint="add --pretrained")
    saved = read_saved(
        model_folder(path, revision=revision, download=pretrained), pretrained=pretrained or bool(weights), size=size
    )
    state = read_state(weights) if weights else None
    ours = state is not None and any(name.startswith("backbone.") for name in state)
    theirs = None if ours else state
    network = _open(saved.folder, pretrained=pretrained and not weights, state=theirs)
    head = _split(network, saved)
    classifier = Classifier(
        Backbone(network),
        head if num_classes is None else nn.Linear(head.in_features, num_classes),
        transform=saved.transform,
        feature_dim=head.in_features,
        classes=_class_names(saved, head) if num_classes is None else None,
        layer_groups=_groups(network),
    )
    if weights or pretrained:
        own = network.state_dict(prefix="backbone.network.") | head.state_dict(prefix="head.")
        where = weights or saved.folder
        loaded = load_state(classifier, state if ours and state else own, head="head", where=where)
        if num_classes is None and not loaded:
            raise ModelError("the weights are for another number of classes", where=where)
    return classifier


def _open(folder: Path, *, pretrained: bool, state: dict[str, Tensor] | None) -> Any:
    """The network with its saved weights, with those in ``state`` by transformers' names, or random ones.

    Raises:
        ModelError: if transformers cannot build it, or the weights are incomplete or no safetensors.
    """
    no_telemetry()
    from transformers import AutoConfig, AutoModelForImageClassification

    # No code out of the folder is run, no pickle is read, and nothing is asked of the hub.
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, **safe)
            config.architectures = config.architectures or []  # of a family with several, the first
            attention = {"attn_implementation": "eager"} if config.model_type in EAGER else {}
            given: dict[str, Any] = {"config": config, "dtype": torch.float32, "output_loading_info": True}
            given |= {**attention, **safe}
            if pretrained:
                network, facts = AutoModelForImageClassification.from_pretrained(folder, use_safetensors=True, **given)
            else:
                network = AutoModelForImageClassification.from_config(config, dtype=torch.float32, **attention)
                facts = {"missing_keys": ()}
            if state is not None:  # by their own reader: names have changed between releases
                network, facts = type(network).from_pretrained(None, state_dict=state, **given)
    except Exception as error:
        text, hint = " ".join(str(error).split()) or type(error).__name__, None
        if pretrained and not list(folder.glob("*.safetensors")):
            text, hint = "no *.safetensors beside config.json", "load it and save it again with a recent transformers"
        raise ModelError(
            "transformers cannot open it as an image classifier", where=folder, got=f"{text:.300}", hint=hint
        ) from error
    if missing := sorted(facts["missing_keys"]):
        raise ModelError(
            "the weights of the model are incomplete: transformers would make up the rest", where=folder,
            got=f"{len(missing)} missing: {', '.join(missing[:3])}",
        )  # fmt: skip
    return network.eval()


def _split(network: nn.Module, saved: Saved) -> nn.Linear:
    """Take the head off a network; its place gets an identity.

    Raises:
        ModelError: if it does not run, or its logits are not the output of one linear layer.
    """
    images = torch.zeros(1, 3, *saved.transform.size).normal_(generator=torch.Generator().manual_seed(0))
    where = f"{saved.folder} ({type(network).__name__})"
    try:
        with torch.no_grad():
            logits = network(pixel_values=images).logits
    except Exception as error:
        text, size = " ".join(str(error).split()), "{} × {} pixels".format(*saved.transform.size)
        raise ModelError(f"the network does not classify images of {size}", where=where, got=f"{text:.300}") from error
    linear = [
        (name, one)
        for name, one in network.named_modules()
        if isinstance(one, nn.Linear) and one.out_features == logits.shape[-1]
    ]
    refused = ModelError(
        "the network cannot be split into backbone and head", where=where,
        expected="logits that are the output of one linear layer",
    )  # fmt: skip
    if not linear:
        raise refused
    name, head = linear[-1]
    network.set_submodule(name, nn.Identity())
    try:
        features = network(pixel_values=images).logits.flatten(1)
        right = features.shape[1] == head.in_features and _near(head(features), logits)
    except RuntimeError:  # shapes that do not fit, where two heads are averaged
        right = False
    if not right:
        raise refused
    _drop_unused(network, features)
    return head


def _near(found: Tensor, right: Tensor) -> bool:
    return bool((found - right).abs().max() <= NEAR * right.abs().max())


def _drop_unused(network: nn.Module, features: Tensor) -> None:
    """Make buffers of the parameters that the features do not depend on."""
    used, seen, left = set(), set(), [features.grad_fn]
    while left:
        node: Any = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            used.add(id(node.variable))
        left += [following for following, _ in node.next_functions]
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in used:
                delattr(module, name)
                module.register_buffer(name, parameter.detach())


def _groups(network: Any) -> list[tuple[str, list[nn.Parameter]]]:
    """Parameters by the parts that transformers' networks have: embeddings, each layer or stage, the last norm."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        parts = name.removeprefix(f"{network.base_model_prefix}.").split(".")[:-1]
        numbered = next((k for k, part in enumerate(parts) if part.isdigit()), None)
        group = ".".join(parts[:1] if numbered is None else parts[: numbered + 1])
        groups.setdefault({"head": "backbone.head", "": "embeddings"}.get(group, group), []).append(parameter)
    return list(groups.items())


def _class_names(saved: Saved, head: nn.Linear) -> tuple[str, ...]:
    if saved.classes is None or len(saved.classes) != head.out_features:
        raise ModelError(
            "the names of the classes do not fit the network", where=saved.folder,
            got=f"{len(saved.classes or ())} names", expected=f"{head.out_features}: id2label of config.json",
            hint='write them into that file: "id2label": {"0": "ant", "1": "bee"}',
        )  # fmt: skip
    return saved.classes
