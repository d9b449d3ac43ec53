"""From a name of timm to a Classifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clsbench import Classifier, ModelError, load_state
from clsbench_timm.classes import class_names
from clsbench_timm.groups import layer_groups
from clsbench_timm.preprocessing import sides, transform_of
from clsbench_timm.splitting import head_paths, take_head, with_one_head
from clsbench_timm.weights import create, read_file

#: Layers that add logits of single patches, which no linear layer of features can give. timm itself trains them with
#: labels for patches; without these, the network is trained without them.
PER_PATCH = "aux_head"

#: How far the logits of a network taken apart may be from its own, as a part of the largest of them.
NEAR = 1e-4


def build_classifier(
    name: str,
    num_classes: int | None,
    *,
    pretrained: bool,
    weights: Path | None,
    size: int | str | None,
    crop_pct: float | None,
    drops: Mapping[str, float | None],
) -> Classifier:
    """Build one of timm's networks; see :func:`clsbench_timm.build`."""
    from timm.models import get_pretrained_cfg

    published = get_pretrained_cfg(name)
    transform = transform_of(name, published, None if size is None else sides(size), crop_pct)
    classes = None if num_classes is not None else _own_classes(name, published, bool(pretrained or weights))
    options: dict[str, Any] = {key: value for key, value in drops.items() if value is not None}
    if published.fixed_input_size:
        options["img_size"] = transform.size
    count, paths = published.num_classes or num_classes or 0, head_paths(name, published.classifier)
    if weights:
        network, state = read_file(name, weights, paths, count, options)
    else:
        network = create(name, count, options, pretrained=pretrained)
        state = network.state_dict() if pretrained else {}
    head, paths = split_head(name, network, paths, transform.size, exact=num_classes is None)
    if num_classes is not None:
        bias = head.bias is not None or num_classes != head.out_features
        head = nn.Linear(head.in_features, num_classes, bias=bias)
    classifier = Classifier(
        network,
        head,
        transform=transform,
        feature_dim=head.in_features,
        classes=classes,
        layer_groups=layer_groups(network),
    )
    if state:
        _load(classifier, state, paths, weights or published.hf_hub_id or published.url, as_it_is=num_classes is None)
    return classifier


def _load(
    classifier: Classifier, state: Mapping[str, Tensor], paths: tuple[str, ...], where: object, *, as_it_is: bool
) -> None:
    """Load tensors by timm's names; for a network that is used as it is, the head has to be among them."""
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(f"{PER_PATCH}.")}
    head_fits = load_state(classifier, with_one_head(kept, paths), head=paths[0], where=where)
    if as_it_is and not head_fits:
        raise ModelError(
            "the weights are for another number of classes", where=where,
            got=classifier.loaded.head_reason if classifier.loaded else None,
            hint="name the classes that they are for with `clsbench export --classes FILE`",
        )  # fmt: skip


def _own_classes(name: str, published: Any, weights: bool) -> tuple[str, ...]:
    """The names of the classes of a network that is to be used as it is."""
    if not weights:
        raise ModelError(f"{name} as it is needs weights", hint="add --pretrained, or --weights FILE")
    found = class_names(published)
    if found is None:
        raise ModelError(
            f"the names of the classes of {name} are not known", got=f"{published.num_classes:,} outputs",
            expected="the classes of ImageNet or of one of its relatives",
            hint="train it on classes of your own, or name them with `clsbench export --classes FILE`",
        )  # fmt: skip
    return found


def split_head(
    name: str, network: Any, paths: tuple[str, ...], size: tuple[int, int], *, exact: bool
) -> tuple[nn.Linear, tuple[str, ...]]:
    """Take the head out of a network; (the head, where its layers were).

    Args:
        name: Of the network, for messages.
        network: Is changed.
        paths: Where its last layers are.
        size: (h, w) of its input, pixels.
        exact: Whether both together have to give the network's own logits.

    Raises:
        ModelError: if the head is not linear, or if they do not.
    """
    whole = _run(network, size) if exact else None
    if PER_PATCH in paths:
        network.aux_head, paths = None, tuple(path for path in paths if path != PER_PATCH)
    head = take_head(name, network, paths)
    if whole is not None:
        with torch.inference_mode():
            apart = (head(_run(network, size)) - whole).abs().max().item()
        if not apart <= NEAR * whole.abs().max().item():
            raise ModelError(
                f"the head of {name} is not one linear layer of its features", where=", ".join(paths),
                got=f"logits that are {apart:.2g} apart", hint="train it on classes of your own: it gets a linear head",
            )  # fmt: skip
    return head, paths


def _run(network: Any, size: tuple[int, int]) -> Tensor:
    """What a network gives for an image of noise, in evaluation mode."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    training = network.training
    with torch.inference_mode():
        found: Tensor = network.eval()(image)
    network.train(training)
    return found
