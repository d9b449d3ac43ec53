"""Layer groups as timm groups layers for layer-wise learning rates: a block each, from the stem to the last norm."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import Any

Groups = list[tuple[str, list[Any]]]


def layer_groups(network: Any) -> Groups | None:
    """(name, parameters) from first to last, each parameter of the network once; None where timm has no grouping.

    Args:
        network: Without its head.
    """
    from timm.models import group_parameters

    if not hasattr(network, "group_matcher"):
        return None
    named = dict(network.named_parameters())
    found: Groups = []
    for members in group_parameters(network, network.group_matcher(coarse=False)).values():
        name = _name(members)
        taken = {known for known, _ in found}
        number = next(k for k in range(1, len(taken) + 2) if (name if k == 1 else f"{name}-{k}") not in taken)
        found.append((name if number == 1 else f"{name}-{number}", [named[member] for member in members]))
    return found or None


def _name(members: list[str]) -> str:
    """What most names in a group begin with: ``blocks.3``, or ``patch_embed`` of a stem that has more."""
    paths = [member.split(".")[:-1] or [member] for member in members]
    ((first, _),) = Counter(parts[0] for parts in paths).most_common(1)
    most = [parts for parts in paths if parts[0] == first]
    name = ".".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*most, strict=False)))
    return f"backbone.{name}" if name == "head" else name  # clsbench calls the last layer so
